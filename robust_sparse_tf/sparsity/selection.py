"""Choosing exact numbers of weights by their scores."""

from __future__ import annotations

import functools
from collections.abc import Callable

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

# The bits of an integer, from the highest, in digits whose values are counted one after the other.
_DIGITS = ((20, 12), (10, 10), (0, 10))


def keep_largest(scores: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Where the `count` largest scores are: bool of the same shape.

    Ties never change the count: of equal scores the first ones, in row-major order, are chosen.
    A radix search of the smallest score to keep: three passes, no sorting.

    Args:
        scores: float32 of any shape and sign, without NaN.
        count: between 0 and the number of scores.
    """
    scores = tf.convert_to_tensor(scores)
    found = _traced()(tf.reshape(scores, [-1]), tf.cast(count, tf.int32))
    return tf.reshape(found, tf.shape(scores))


@functools.cache
def _traced() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """`_largest` as one graph; to trace it for each layer takes most of the time of tracing."""
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
    """Integers in the order of the scores, made of their bits; -0.0 equals 0.0."""
    bits = tf.bitcast(scores, tf.int32)
    return tf.where(bits < 0, tf.int32.min - bits, bits)


def _threshold(keys: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count`-th largest key, and how many of those equal to it are among the `count`."""
    threshold, candidates = tf.constant(0), tf.ones_like(keys, tf.bool)
    for shift, bits in _DIGITS:
        digits = tf.bitwise.right_shift(keys, shift)  # of a signed integer: the sign stays
        lowest = -(1 << (bits - 1)) if shift + bits == 32 else 0
        digits = digits - lowest if lowest else tf.bitwise.bitwise_and(digits, (1 << bits) - 1)
        digits = tf.where(candidates, digits, 1 << bits)  # what is no candidate is not counted
        # The raw operation: tf.math.bincount finds its size out in a way that XLA cannot compile.
        numbers = tf.raw_ops.DenseBincount(
            input=digits, size=1 << bits, weights=tf.constant([], tf.int32), binary_output=False
        )
        at_least = tf.cumsum(numbers, reverse=True)
        digit = tf.math.count_nonzero(at_least >= count, dtype=tf.int32) - 1
        count -= tf.gather(tf.concat([at_least, [0]], 0), digit + 1)
        threshold += tf.bitwise.left_shift(digit + lowest, shift)
        candidates = tf.equal(digits, digit)
    return threshold, count
