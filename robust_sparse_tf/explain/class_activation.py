"""Grad-CAM: where in the image the features are that a logit depends on."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.explain.inputs import by_batches, network_in, of_labels
from robust_sparse_tf.options import checked

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def grad_cam(model: Any, images: Any, labels: Any, layer: str | None = None) -> np.ndarray:
    """Maps of how much each place contributes to a label's logit, at image size.

    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (Selvaraju et
    al., 2017), section 3: ReLU(sum_k mean(d logit / d A^k) A^k), where A^k is channel k of a
    layer's output, and the mean is over its places; bilinear interpolation to the image's size.
    Computed in inference mode: random layers are off, and noise on weights, too.

    Args:
        model: tf_keras model that returns logits, dense or sparse, or an `AdversarialModel`.
        images: [n, height, width, channels], in the range of the network's inputs.
        labels: class numbers [n], whose logits are explained.
        layer: name of a layer that returns [batch, height, width, channels]; also one in a nested
            model. By default the last convolution that is computed. If a layer is called several
            times, its last output counts.

    Returns:
        float32 [n, height, width], at least 0, in units of logits.

    Raises:
        InputError: for other models, images or labels, a model without convolutions, or a layer
            that does not exist, is not unique, or returns another shape.
    """
    network = network_in(model)
    layers = _convolutions(network) if layer is None else [_named(network, layer)]

    def explain(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape, _recorded(layers) as outputs:
            tape.watch(x)
            score = of_labels(network, x, y)
        features = _last(network, layer, outputs)
        gradient = tape.gradient(score, features, unconnected_gradients="zero")
        features, gradient = tf.cast(features, tf.float32), tf.cast(gradient, tf.float32)
        weights = tf.reduce_mean(gradient, axis=[1, 2], keepdims=True)
        small = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1, keepdims=True))
        return tf.image.resize(small, x.shape[1:3], "bilinear")[..., 0]

    return by_batches(network, images, labels, explain)


def _layers(network: keras.Model) -> list[keras.layers.Layer]:
    """All layers, those of nested models and inside of wrappers included."""
    return list(network._flatten_layers(include_self=False))


def _convolutions(network: keras.Model) -> list[keras.layers.Layer]:
    found = [each for each in _layers(network) if isinstance(each, _CONVOLUTIONS)]
    if not found:
        raise InputError(f"model {network.name}: has no convolution; must have one, or give layer")
    return found


def _named(network: keras.Model, name: str) -> keras.layers.Layer:
    name = checked("layer", name, str)
    layers = _layers(network)
    found = [each for each in layers if each.name == name]
    wrapped = [getattr(each, "layer", None) for each in found]
    found = [each for each in found if not any(each is inner for inner in wrapped)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"layer={name}: {len(found)} layers have this name; it must be unique")
    names = ", ".join(dict.fromkeys(each.name for each in layers))
    raise InputError(f"layer={name}: must be one of {names}")


@contextlib.contextmanager
def _recorded(layers: Sequence[keras.layers.Layer]) -> Iterator[list[Any]]:
    """Records the outputs of layers, in the order of the calls, while the context lasts."""
    outputs: list[Any] = []

    def recording(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            outputs.append(call(*args, **kwargs))
            return outputs[-1]

        return recorded

    # Not by `setattr`, which would track the functions as parts of the layers.
    before = [vars(layer).get("call") for layer in layers]
    try:
        for layer in layers:
            vars(layer)["call"] = recording(layer.call)
        yield outputs
    finally:
        for layer, call in zip(layers, before, strict=True):
            vars(layer).pop("call", None)
            if call is not None:
                vars(layer)["call"] = call


def _last(network: keras.Model, layer: str | None, outputs: list[Any]) -> tf.Tensor:
    """The last output of the layers.

    Raises:
        InputError: if they were not called, or return another shape.
    """
    name = "its convolutions" if layer is None else f"layer={layer}"
    if not outputs:
        raise InputError(f"model {network.name}: does not call {name}; must be part of it")
    last = outputs[-1]
    if not isinstance(last, tf.Tensor) or last.shape.rank != 4:
        shape = getattr(last, "shape", type(last).__name__)
        raise InputError(f"{name}: returns {shape}; must be [batch, height, width, channels]")
    return last
