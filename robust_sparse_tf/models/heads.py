"""Checks that networks return logits, not the outputs of a softmax, sigmoid or tanh."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.layers import BinaryLogits
from robust_sparse_tf.models.network import require_single

# Layers that only reorder numbers.
_PASSING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Dropout,
    keras.layers.Identity,
    BinaryLogits,
)
_KERNELS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
# Inputs of large logits, to detect functions that keep outputs in [0, 1].
_LOGITS = 30 * np.sin(np.arange(1, 57, dtype=np.float32)).reshape(8, 7)
_SCALES = (-100.0, 100.0)


def require_logits(network: keras.Model) -> None:
    """Refuses a network that does not return logits.

    The last layer decides; if its type is not known, the network is tried on random inputs.

    Args:
        network: Sequential or functional tf_keras model.

    Raises:
        InputError: if it is not built, has several inputs or outputs, another output shape than
            [batch, classes], fewer than 2 classes, or ends in a softmax, sigmoid or tanh.
    """
    name = network.name
    if not network.built:
        raise InputError(f"model {name}: must be built; begin it with an Input layer")
    require_single(network)
    shape = network.output_shape
    if len(shape) != 2 or shape[1] is None or shape[1] < 2:
        cure = "; models.layers.BinaryLogits makes them of one" if shape[-1] == 1 else ""
        raise InputError(
            f"model {name}: returns shape {shape}; must be logits (batch, classes) of at least 2 "
            f"classes{cure}"
        )
    last, kind = _end(network)
    if kind:
        raise InputError(f"model {name}: ends in {kind} (layer {last}); it must return logits")


def is_linear(output: tf.Tensor) -> bool:
    """Whether an output of a functional model comes straight from a kernel, without squashing."""
    layer = _last_layer(output)
    linear = getattr(layer, "activation", None) is keras.activations.linear
    return type(layer) in _KERNELS and linear


def squashed_by(model: Callable[[Any], Any], inputs: np.ndarray, outputs: np.ndarray) -> str:
    """Detects the function that keeps a model's outputs in [0, 1] or [-1, 1], from its outputs.

    If outputs are in that range, or add up to a constant as for a scaled softmax, the model is also
    tried on scaled inputs, for which logits leave the range.

    Args:
        model: from inputs to outputs [batch, classes].
        inputs: numbers [batch, ...].
        outputs: what the model returns for them.

    Returns:
        "softmax" if the outputs of every input have the same sum, otherwise "sigmoid" or, if some
        are negative, "tanh"; "" for logits.
    """
    rounding = 2e-2 if outputs.dtype.itemsize < 4 else 1e-3
    seen = [_numbers(outputs)]
    if not _squash(seen[0], rounding) and not _is_small(seen[0]):
        return ""
    for scale in _SCALES:
        scaled = (inputs.astype(np.float32) * scale).astype(inputs.dtype)
        # A model may refuse other inputs.
        with contextlib.suppress(Exception):
            seen.append(_numbers(np.asarray(model(tf.constant(scaled)))))
    every = np.concatenate(seen)
    if every.min() < 0:
        return "tanh" if _is_small(every) and _saturates(every, seen[-1], rounding) else ""
    kind, total, most = _squash(every, rounding), every[0].sum(), np.ptp(every, axis=0).max()
    if kind == "softmax" and abs(total - 1) > rounding:
        # Or any outputs that vary little, or votes of a model that returns only classes.
        return kind if most > 0.1 * total and seen[0].min() > 0 else ""
    # A network with all weights zero returns the same for all inputs.
    return kind if kind == "softmax" or most > 0 else ""


def _end(network: keras.Model) -> tuple[str, str]:
    """The name of the last layer with an effect, and its squashing function ("": none)."""
    layer = _last_layer(network.output)
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax):
        return layer.name, "softmax"
    if callable(activation) and activation is not keras.activations.linear:
        return layer.name, _activation_kind(activation)
    if type(layer) in _KERNELS:  # subclasses may do more
        return layer.name, ""
    return layer.name, _shown(lambda x: network(x, training=False), _made_up(network))


def _last_layer(tensor: tf.Tensor) -> keras.layers.Layer:
    while True:
        layer, node, place = tensor._keras_history
        while isinstance(getattr(layer, "layer", None), keras.layers.Layer):
            layer = layer.layer
        if isinstance(layer, keras.Model):
            tensor = layer.outputs[place]
        elif isinstance(layer, _PASSING) or _passes(layer):
            tensor = tensor._keras_history.layer._inbound_nodes[node].keras_inputs[0]
        else:
            return layer


def _passes(layer: keras.layers.Layer) -> bool:
    linear = keras.activations.linear
    return isinstance(layer, keras.layers.Activation) and layer.activation is linear


def _activation_kind(activation: Callable[[Any], Any]) -> str:
    name = getattr(activation, "__name__", "")
    for kind in ("softmax", "sigmoid", "tanh"):
        if name.startswith(kind):
            return kind
    return _shown(activation, _LOGITS)


def _shown(function: Callable[[Any], Any], inputs: np.ndarray) -> str:
    try:
        return squashed_by(function, inputs, np.asarray(function(tf.constant(inputs))))
    except (ValueError, TypeError, tf.errors.OpError):
        return ""  # for example, unknown sizes were chosen too small


def _made_up(network: keras.Model) -> np.ndarray:
    shape = [8, *(side or 32 for side in network.input_shape[1:])]
    values = np.random.RandomState(0).uniform(size=shape)
    return values.astype(tf.as_dtype(network.input.dtype).as_numpy_dtype)


def _numbers(outputs: np.ndarray) -> np.ndarray:
    """The outputs [batch, classes] without NaN, in float64."""
    values = outputs.astype(np.float64)
    return values[~np.isnan(values).any(axis=-1)]


def _squash(values: np.ndarray, rounding: float) -> str:
    """Like `squashed_by`, from outputs [batch, classes] only."""
    if not values.size or values.min() < 0 or np.isinf(values).any():
        return ""
    sums = values.sum(axis=-1)
    if np.ptp(sums) <= rounding * sums.mean():
        return "softmax"
    return "sigmoid" if values.max() <= 1 + 1e-3 else ""


def _is_small(values: np.ndarray) -> bool:
    """Whether outputs lie in [-1, 1]."""
    return bool(values.size and np.abs(values).max() <= 1 + 1e-3)


def _saturates(every: np.ndarray, last: np.ndarray, rounding: float) -> bool:
    """Whether outputs of large inputs are at the ends of [-1, 1], as for tanh.

    Args:
        every: all outputs; votes of -1 and 1, which have a constant sum, are as large for all
            inputs.
        last: outputs for the largest inputs.
        rounding: rounding error of the outputs.
    """
    ends = np.abs(np.abs(every) - 1).max() <= rounding
    votes = ends and np.ptp(every.sum(axis=-1)) <= rounding
    return bool(not votes and np.mean(np.abs(last) > 1 - 2e-2) > 0.5)
