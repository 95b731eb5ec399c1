"""Adam's step, for attacks that count steps per example or per coordinate."""

from __future__ import annotations

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

_BETA_1, _BETA_2, _TINY = 0.9, 0.999, 1e-8


def step(
    mean: tf.Tensor, square: tf.Tensor, gradient: tf.Tensor, count: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the new averages of the gradient and of its square, and the direction to subtract.

    "Adam: A Method for Stochastic Optimization" (Kingma and Ba, 2015), algorithm 1.

    Args:
        mean: float32, 0 at first.
        square: of the same shape, 0 at first.
        gradient: of the same shape.
        count: float32, number of steps including this one, at least 1; broadcast to the same shape.
    """
    mean = mean + (1 - _BETA_1) * (gradient - mean)
    square = square + (1 - _BETA_2) * (gradient * gradient - square)
    rate = tf.sqrt(1 - _BETA_2**count) / (1 - _BETA_1**count)
    return mean, square, rate * mean / (tf.sqrt(square) + _TINY)
