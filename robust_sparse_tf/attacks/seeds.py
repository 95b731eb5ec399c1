"""Seeds, and seeds derived from them."""

from __future__ import annotations

import numbers
from typing import Any, TypeAlias

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import shown

with epy.lazy_imports():
    import tensorflow as tf

Seed: TypeAlias = "tf.Tensor | tuple[int, int]"


def check_seed(seed: Any) -> None:
    """Raises InputError unless a seed is two integers."""
    if tf.is_tensor(seed):
        fits = seed.dtype.is_integer and seed.shape.is_compatible_with([2])
    else:
        fits = isinstance(seed, tuple | list | np.ndarray) and len(seed) == 2
        fits = fits and all(isinstance(n, numbers.Integral) or tf.is_tensor(n) for n in seed)
        fits = fits and not any(isinstance(n, bool) for n in seed)
    if not fits:
        raise InputError(f"seed={shown(seed)}: must be two integers")


def as_seed(seed: Seed) -> tf.Tensor:
    """Converts two integers to an int64 tensor [2]."""
    return tf.cast(seed, tf.int64)


def seed_of(seed: int, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a batch or step: int64 [2], the run's seed and the number."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)])


def fold(seed: Seed, number: int | tf.Tensor) -> tf.Tensor:
    """Derives a seed from a seed and a number, such as that of a step: int64 [2]."""
    return as_seed(tf.random.experimental.stateless_fold_in(as_seed(seed), number))
