"""Rounding to whole numbers, as quantised files do it, with straight-through gradients.

"Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation" (Bengio
et al., 2013), section 4. The kernels of TFLite and of XNNPACK round halves differently.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from robust_sparse_tf.export.twins.reading import Tensor

_LOW, _HIGH = -128.0, 127.0  # of whole numbers that are chosen on the fly

Rounding: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
"""From numbers to the nearest whole ones; `tf.round` rounds halves to even numbers."""


def away(x: tf.Tensor) -> tf.Tensor:
    """Rounds halves away from zero."""
    return tf.sign(x) * tf.floor(tf.abs(x) + 0.5)


def up(x: tf.Tensor) -> tf.Tensor:
    """Rounds halves up."""
    return tf.floor(x + 0.5)


def whole(x: tf.Tensor, scale: float) -> tf.Tensor:
    """The whole numbers that stand for real ones, counted from the zero point."""
    return tf.grad_pass_through(tf.round)(x / scale)


def real(numbers: tf.Tensor, tensor: Tensor, rounding: Rounding = tf.round) -> tf.Tensor:
    """The real numbers that a quantised activation holds; no gradient outside its range.

    Args:
        numbers: float32, in units of the scale, counted from the zero point.
        tensor: the activation.
        rounding: the rounding of its operation.
    """
    low, high = (limit - float(tensor.zero[0]) for limit in tensor.limits)
    return tf.clip_by_value(tf.grad_pass_through(rounding)(numbers), low, high) * tensor.scale[0]


def quantised(x: tf.Tensor, tensor: Tensor) -> tf.Tensor:
    """The nearest real numbers that a quantised activation can hold; see `real`."""
    return real(x / tensor.scale[0], tensor)


def on_the_fly(x: tf.Tensor, axes: list[int], xnnpack: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Eight-bit numbers for a real activation, with a scale and zero point from its range.

    Args:
        x: float32.
        axes: axes of the values that share a scale.
        xnnpack: whether to round as XNNPACK does, or as TFLite's own kernels.

    Returns:
        Whole numbers counted from the zero point, float32, and their scale.
    """
    low = tf.minimum(tf.reduce_min(x, axes, keepdims=True), 0.0)
    high = tf.maximum(tf.reduce_max(x, axes, keepdims=True), 0.0)
    inverse = tf.math.divide_no_nan(_HIGH - _LOW, high - low)
    inverse = tf.stop_gradient(tf.where(inverse > 0, inverse, 1.0))
    least, most = low * inverse, high * inverse
    # That of the end whose own rounding error is smaller.
    zero = tf.where(_LOW + least + _HIGH + most > 0, _LOW - least, _HIGH - most)
    zero = tf.clip_by_value(tf.round(zero) if xnnpack else away(zero), _LOW, _HIGH)

    def numbers(scaled: tf.Tensor) -> tf.Tensor:
        shifted = tf.round(scaled) + zero if xnnpack else away(scaled + zero)
        return tf.clip_by_value(shifted, _LOW, _HIGH) - zero

    return tf.grad_pass_through(numbers)(x * inverse), 1 / inverse
