"""Selects exact numbers of weights by score."""

from __future__ import annotations

import functools
from collections.abc import Callable

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

# Bits per digit of the radix search, from the highest digit.
_DIGITS = ((20, 12), (10, 10), (0, 10))


def keep_largest(scores: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Marks the `count` largest scores: bool of the same shape.

    Ties never change the count: of equal scores, the first ones in row-major order are chosen. A
    radix search finds the smallest score to keep in three passes, without sorting.

    Args:
        scores: float32 of any shape and sign, without NaN.
        count: between 0 and the number of scores.
    """
    scores = tf.convert_to_tensor(scores)
    found = _traced()(tf.reshape(scores, [-1]), tf.cast(count, tf.int32))
    return tf.reshape(found, tf.shape(scores))


@functools.cache
def _traced() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """`_largest` as one graph for all layers; tracing it per layer would take most of the time."""
    signature = [tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]
    return tf.function(_largest, input_signature=signature, autograph=False)


def _largest(scores: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """`keep_largest` of scores [n]."""
    keys = _ordered(scores)
    threshold, missing = _threshold(keys, count)
    at_least = keys >= threshold

    def break_ties() -> tf.Tensor:
        equal = tf.equal(keys, threshold)
        first = tf.cumsum(tf.cast(equal, tf.int32)) <= missing
        return at_least & (first | ~equal)

    exact = tf.equal(tf.math.count_nonzero(at_least, dtype=tf.int32), count)
    return tf.cond(exact, lambda: at_least, break_ties)


def _ordered(scores: tf.Tensor) -> tf.Tensor:
    """Maps scores to integers of the same order, from their bits; -0.0 equals 0.0."""
    bits = tf.bitcast(scores, tf.int32)
    return tf.where(bits < 0, tf.int32.min - bits, bits)


def _threshold(keys: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count`-th largest key, and how many equal keys are among the `count` largest."""
    threshold, candidates = tf.constant(0), tf.ones_like(keys, tf.bool)
    for shift, bits in _DIGITS:
        digits = tf.bitwise.right_shift(keys, shift)  # arithmetic shift: the sign is kept
        lowest = -(1 << (bits - 1)) if shift + bits == 32 else 0
        digits = digits - lowest if lowest else tf.bitwise.bitwise_and(digits, (1 << bits) - 1)
        digits = tf.where(candidates, digits, 1 << bits)  # other keys are not counted
        # The raw operation, because XLA cannot compile tf.math.bincount.
        numbers = tf.raw_ops.DenseBincount(
            input=digits, size=1 << bits, weights=tf.constant([], tf.int32), binary_output=False
        )
        at_least = tf.cumsum(numbers, reverse=True)
        digit = tf.math.count_nonzero(at_least >= count, dtype=tf.int32) - 1
        count -= tf.gather(tf.concat([at_least, [0]], 0), digit + 1)
        threshold += tf.bitwise.left_shift(digit + lowest, shift)
        candidates = tf.equal(digits, digit)
    return threshold, count
