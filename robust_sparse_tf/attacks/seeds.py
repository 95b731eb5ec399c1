"""Seeds of everything random, and the many that follow from one."""

from __future__ import annotations

from typing import TypeAlias

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

Seed: TypeAlias = "tf.Tensor | tuple[int, int]"


def as_seed(seed: Seed) -> tf.Tensor:
    """Two integers as an int64 tensor [2]."""
    return tf.cast(seed, tf.int64)


def seed_of(seed: int, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a batch or a step: int64 [2], the run's seed beside the number."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)])


def fold(seed: Seed, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a number, such as that of a step: int64 [2], another for each number."""
    return as_seed(tf.random.experimental.stateless_fold_in(as_seed(seed), number))
