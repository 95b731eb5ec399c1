"""Converts numbers and labels to tensors of one type, and checks them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

Shape: TypeAlias = tuple[int | None, ...]


def as_tensor(name: str, value: Any, dtype: tf.DType | None = None) -> tf.Tensor:
    """Converts a value to a tensor; casts other types of numbers.

    Raises:
        InputError: for values that cannot be converted.
    """
    try:
        tensor = tf.convert_to_tensor(value)
        if dtype is None or tensor.dtype == dtype:
            return tensor
        kind = tensor.dtype
        if kind.is_floating or kind.is_integer or kind.is_bool:
            return tf.cast(tensor, dtype)
        error = None
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as failed:
        error = failed
    given = value.dtype if hasattr(value, "dtype") else type(value).__name__
    wanted = dtype.name if dtype else "integers [batch]"
    raise InputError(f"{name} of type {getattr(given, 'name', given)}: must be {wanted}") from error


def as_labels(name: str, value: Any) -> tf.Tensor:
    """Converts class numbers of any type, [batch] or [batch, 1], to int64 [batch].

    Args:
        name: what to call them.
        value: array or tensor of integers, booleans, or floats that are whole numbers. Floats of
            unknown value are truncated, and unknown shapes are accepted.

    Raises:
        InputError: for other types and shapes, such as one-hot labels.
    """
    labels = as_tensor(name, value)
    kind, shape = labels.dtype, labels.shape
    known = tf.get_static_value(labels) if kind.is_floating else None
    broken = known is not None and (known != np.floor(known)).any()
    if broken or not (kind.is_integer or kind.is_bool or kind.is_floating):
        raise InputError(f"{name} of type {kind.name}: must be integers")
    if shape.rank is None or (shape.rank == 2 and shape[1] in (1, None)):
        labels = tf.reshape(labels, [-1])
    elif shape.rank is not None and shape.rank != 1:
        cure = "batch them" if shape.rank == 0 else "for one-hot labels use argmax(labels, 1)"
        raise InputError(f"{name} of shape {shape}: must be class numbers [n] or [n, 1]; {cure}")
    return tf.cast(labels, tf.int64)


def check_types(images: Any, labels: Any, name: str = "labels") -> None:
    """Checks shapes, if known, and the type of labels.

    Args:
        images: array or tensor.
        labels: array or tensor, or None.
        name: what to call the labels.

    Raises:
        InputError: unless they are [n, ...] and integers [n], n above 0.
    """
    shape = tf.TensorShape(images.shape)
    flat = shape.rank is not None and shape.rank < 2
    if flat or shape.num_elements() == 0:
        raise InputError(f"images of shape {shape}: must be [n, ...], n above 0")
    if labels is None:
        return
    own = tf.TensorShape(labels.shape)
    if not own.is_compatible_with([shape[0] if shape.rank else None]):
        raise InputError(f"data of shapes {shape} and {own}: must be [n, ...] and [n]")
    if not tf.as_dtype(labels.dtype).is_integer:
        raise InputError(f"{name} of type {labels.dtype.name}: must be integers")


def check_shape(images: Any, shape: Shape) -> None:
    """Raises InputError if images do not fit a network; a last axis of 1 may be missing."""
    own = tf.TensorShape(images.shape)
    wanted = [[None, *shape[1:]], *([[None, *shape[1:-1]]] if shape[-1] == 1 else [])]
    if not any(own.is_compatible_with(each) for each in wanted):
        raise InputError(f"images of shape {own}: must be {shape}, as the network's inputs")


def as_array(name: str, value: Any) -> np.ndarray:
    """Converts numbers of any type, in an array or in lists, to an array.

    Raises:
        InputError: for values that are not such an array.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):  # for example, parts of different shapes
        array = None
    if array is None or array.dtype.kind in "OUSMmc":
        raise InputError(f"{name} of type {_kind(value)}: must be one array of numbers [n, ...]")
    return array


def _kind(value: Any) -> str:
    kind = type(value).__name__
    return f"{kind} of {value.dtype}" if hasattr(value, "dtype") else kind
