"""Batches of data, for methods that need gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from robust_sparse_tf.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

Batches: TypeAlias = "Iterable[tuple[tf.Tensor, tf.Tensor]]"
"""Batches (images, labels)."""


def check_batches(data: Batches | None) -> None:
    """Raises InputError if data cannot be batches (images, labels), as far as known."""
    spec = getattr(data, "element_spec", ())  # a tf.data.Dataset
    several = isinstance(data, Iterable) and isinstance(spec, tuple)
    if isinstance(data, tuple | list):
        several = all(isinstance(batch, tuple | list) and len(batch) in (2, 3) for batch in data)
    elif isinstance(data, str | bytes | range | Mapping | set) or hasattr(data, "__array__"):
        several = False
    if data is not None and not several:
        raise InputError(f"data of type {type(data).__name__}: must be batches (images, labels)")
