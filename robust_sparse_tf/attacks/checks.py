"""What attacks and evaluations are given, checked before it leads to figures that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

    from robust_sparse_tf.models import heads

_PROBED = 32  # examples that tell how many logits a model returns


def as_tensor(name: str, value: Any, dtype: tf.DType | None = None) -> tf.Tensor:
    """A value as a tensor.

    Raises:
        InputError: for what has no such tensor.
    """
    try:
        return tf.convert_to_tensor(value, dtype)
    except (ValueError, TypeError) as error:
        given = value.dtype.name if hasattr(value, "dtype") else type(value).__name__
        wanted = dtype.name if dtype else "integers [batch]"
        raise InputError(f"{name} of type {given}: must be {wanted}") from error


def check_call(
    model: Callable[[tf.Tensor], tf.Tensor],
    x: tf.Tensor,
    labels: tf.Tensor | None,
    name: str,
    limits: tuple[float, float],
) -> None:
    """Checks what an attack is called with.

    Inside `tf.function`, where values are unknown, shapes and types only, at no cost; otherwise
    values as well, and a few examples are shown to the model.

    Args:
        model: from inputs to logits.
        x: float32 [batch, ...].
        labels: integers [batch]; None where the attack takes the model's own prediction.
        name: what to call the labels.
        limits: least and largest value allowed.

    Raises:
        InputError: naming what is wrong.
    """
    check_types(x, labels, name)
    if not tf.executing_eagerly():
        return
    check_images(x.numpy(), limits)
    classes = check_model(model, x)
    if labels is not None:
        check_labels(labels.numpy(), classes, name)


def check_types(images: Any, labels: Any, name: str = "labels") -> None:
    """Checks shapes, where they are known, and the type of labels.

    Args:
        images: array or tensor.
        labels: array or tensor; None where there are none.
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


def check_images(images: np.ndarray, limits: tuple[float, float]) -> None:
    """Checks the values of images [n, ...].

    Raises:
        InputError: for what is not a number, or outside the limits.
    """
    if np.isnan(images).any():
        raise InputError(
            f"images: {np.isnan(images).any(axis=tuple(range(1, images.ndim))).sum()} "
            "of them hold NaN; must be numbers"
        )
    low, high = limits
    if images.min() < low or images.max() > high:
        raise InputError(
            f"images of values {images.min():g} to {images.max():g}: must be in [{low:g}, {high:g}]"
        )


def check_model(model: Callable[[tf.Tensor], tf.Tensor], images: Any) -> int:
    """The number of classes, from what a model returns for a few of the images [n, ...].

    Raises:
        InputError: for outputs that are not logits.
    """
    few = tf.convert_to_tensor(images[:_PROBED])
    try:
        outputs = np.asarray(model(few))
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"images of shape {images.shape}: do not fit the model ({reason})"
        ) from error
    if outputs.ndim != 2 or len(outputs) != len(few) or outputs.shape[1] < 2:
        raise InputError(
            f"model: returns shape {outputs.shape} for {len(few)} images; must be logits [batch, "
            "classes] of at least 2 classes"
        )
    if np.isnan(outputs).any():
        raise InputError("model: returns NaN for clean images; must return logits")
    if kind := heads.squashed_by(model, few.numpy(), outputs):
        raise InputError(f"model: returns probabilities ({kind}); must return logits")
    return outputs.shape[1]


def check_labels(labels: np.ndarray, classes: int, name: str = "labels") -> None:
    """Checks the values of labels [n].

    Raises:
        InputError: for those that are not in 0 to classes - 1.
    """
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"{name} from {labels.min()} to {labels.max()}: must be in 0 to {classes - 1}, as the "
            f"model returns {classes} classes"
        )
