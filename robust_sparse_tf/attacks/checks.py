"""Checks of the inputs of attacks and evaluations."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from etils import epy

from robust_sparse_tf.attacks.precision import Float32, is_half, require_one
from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.tensors import check_shape, check_types
from robust_sparse_tf.values import assert_images, check_images, check_labels

with epy.lazy_imports():
    import tensorflow as tf

    from robust_sparse_tf.models import heads, network

_PROBED = 32  # examples shown to a model to find its number of logits
_CAST: weakref.WeakKeyDictionary[Any, Logits] = weakref.WeakKeyDictionary()

Logits: TypeAlias = "Callable[[tf.Tensor], tf.Tensor]"


def check_call(
    model: Logits,
    x: tf.Tensor,
    labels: tf.Tensor | None,
    name: str,
    limits: tuple[float, float],
    gradients: bool = True,
) -> Logits:
    """Checks the arguments of an attack.

    Eagerly it checks all values, and shows a few examples to the model. Inside `tf.function`, where
    values are unknown, it checks shapes and types, and asserts the range.

    Args:
        model: from inputs to logits.
        x: float32 [batch, ...].
        labels: int64 [batch]; None if the attack uses the model's own prediction.
        name: what to call the labels.
        limits: minimum and maximum value allowed.
        gradients: whether the attack needs them; eagerly, functions that compute with NumPy, and so
            have none, are then refused.

    Returns:
        The model, with its logits cast to float32 if needed.

    Raises:
        InputError: naming what is wrong.
    """
    check_types(x, labels, name)
    if not tf.executing_eagerly():
        if shape := getattr(network.network_of(model), "input_shape", None):
            check_shape(x, shape)
        assert_images(x, limits)
        return in_float32(model)
    check_images(x.numpy(), limits)
    outputs = _outputs(model, x)
    if labels is not None:
        check_labels(labels.numpy(), outputs.shape[1], name)
    if gradients and isinstance(outputs, np.ndarray):
        raise InputError("model: returns NumPy arrays, which have no gradient for the attack")
    return model if _is_plain(outputs) and not is_half(model) else in_float32(model)


def in_float32(model: Logits) -> Logits:
    """Returns a model with float32 logits, whatever it computes in; see `precision.Float32`.

    The same tf_keras model gives the same function, because CleverHans traces a graph for each new
    one.
    """
    if isinstance(model, Float32):
        return model
    output = getattr(network.network_of(model), "output", None)
    if output is None:
        return Float32(model)
    half = is_half(model)
    if output.dtype == tf.float32 and not half:
        return model
    if model not in _CAST:
        # Otherwise the table would keep the model alive for ever.
        known: Callable[[], Any] = weakref.ref(model)
        _CAST[model] = Float32(lambda x: known()(x), half)
    return _CAST[model]


def check_model(model: Logits, images: Any) -> int:
    """Returns the number of classes, from the model's outputs for a few of the images [n, ...].

    Raises:
        InputError: for outputs that are not logits.
    """
    return int(_outputs(model, images).shape[1])


def _outputs(model: Logits, images: Any) -> Any:
    """Returns the checked outputs of the model: tensor or array [few, classes]."""
    few = tf.convert_to_tensor(images[:_PROBED])
    try:
        returned = model(few)
        require_one(returned)
        outputs = np.asarray(returned)
    except InputError:
        raise
    except Exception as error:  # any exception, as the model may be a user's function
        raise InputError(
            f"images of shape {images.shape}: do not fit the model ({reason(error)})"
        ) from error
    if outputs.ndim != 2 or len(outputs) != len(few) or outputs.shape[1] < 2:
        one = outputs.shape == (len(few), 1)
        cure = "; models.layers.BinaryLogits makes them of one without sigmoid" if one else ""
        raise InputError(
            f"model: returns shape {outputs.shape} for {len(few)} images; must be logits [batch, "
            f"classes] of at least 2 classes{cure}"
        )
    numbers = outputs.astype(np.float32)  # NumPy has no bfloat16
    if np.isnan(numbers).any() or np.isposinf(numbers).any():
        kind = "NaN" if np.isnan(numbers).any() else "infinity"
        raise InputError(f"model: returns {kind} for clean images; must return logits")
    if kind := heads.squashed_by(model, few.numpy(), outputs):
        words = "values in [-1, 1]" if kind == "tanh" else "probabilities"
        raise InputError(f"model: returns {words} ({kind}); must return logits")
    return returned


def _is_plain(outputs: Any) -> bool:
    return bool(tf.is_tensor(outputs) and outputs.dtype == tf.float32)
