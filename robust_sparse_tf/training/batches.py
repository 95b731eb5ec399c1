"""What training is given: images, labels and weights of examples, checked and of one type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import checks
from robust_sparse_tf.data import Gather, Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.values import assert_images, assert_that, check_images

Limits: TypeAlias = tuple[float, float] | None
"""Least and largest value of an image; None for any number."""


class Batch(NamedTuple):
    """Images float32 [batch, ...], labels int64 [batch] and weights float32 [batch] or None."""

    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor | None = None


class Weighted:
    """Looks up images with weights of their own: numbers [batch] -> (images, labels, weights)."""

    def __init__(self, gather: Gather, weights: np.ndarray) -> None:
        self._gather = gather
        self._weights = tf.Variable(weights, trainable=False)

    def __call__(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return *self._gather(numbers), tf.gather(self._weights, numbers)


def as_batch(data: Any, classes: int, limits: Limits) -> Batch:
    """A batch from what tf_keras hands to a step, its values asserted in the graph.

    Args:
        data: (images, labels) or (images, labels, weights), of any type of number.
        classes: labels are below.
        limits: of the images.

    Raises:
        InputError: for anything else, and for shapes and types that do not fit.
    """
    images, labels, weights = _triple(data)
    given = tf.convert_to_tensor(labels)
    images, labels = (
        checks.as_tensor("images", images, tf.float32),
        checks.as_labels("labels", given),
    )
    checks.check_types(images, labels)
    assert_images(images, limits)
    if given.dtype.is_floating:
        whole = tf.reduce_all(tf.reshape(given, [-1]) == tf.cast(labels, given.dtype))
        assert_that(whole, ["labels of type", given.dtype.name, ": must be integers"])
    labels = checks.assert_labels(labels, classes)
    if weights is None:
        return Batch(images, labels)
    weights = tf.reshape(checks.as_tensor("weights", weights, tf.float32), [-1])
    if not weights.shape.is_compatible_with(labels.shape):
        raise InputError(f"weights of shape {weights.shape}: must be one for each image")
    return Batch(images, labels, weights)


def check_data(
    data: Any,
    labels: Any,
    weights: Any,
    shape: tuple[int | None, ...],
    classes: int,
    limits: Limits,
) -> None:
    """Checks all of a `Split`, or of arrays, before they are trained on; others in `as_batch`.

    Args:
        data: what `fit` is given as x.
        labels: as y.
        weights: as sample_weight.
        shape: of the network's inputs, [batch, ...].
        classes: labels are below.
        limits: of the images.

    Raises:
        InputError: naming what is wrong.
    """
    if isinstance(data, Split):
        data, labels = data.images, data.labels
        scaled = data.dtype == np.uint8
        low, high = (data.min() / 255, data.max() / 255) if scaled else (data.min(), data.max())
        values = np.array([low, high], np.float32)
    elif isinstance(data, np.ndarray | tf.Tensor):
        values = data = np.asarray(data)
    else:
        return
    if labels is None:
        raise InputError("y=None: must be labels, class numbers [n]")
    labels = checks.as_labels("labels", labels)
    checks.check_types(data, labels)
    own = tf.TensorShape(data.shape[1:])
    if not any(
        own.is_compatible_with(s) for s in (shape[1:], shape[1:-1] if shape[-1] == 1 else ())
    ):
        raise InputError(f"images of shape {data.shape}: must be {shape}, as the network's inputs")
    check_images(values, limits)
    checks.check_labels(labels.numpy(), classes)
    if weights is not None:
        example_weights(labels.numpy(), None, weights)


def check_class_weight(class_weight: Any, classes: int) -> None:
    """Raises InputError unless each class has a weight."""
    names = set(range(classes))
    if not isinstance(class_weight, Mapping) or set(class_weight) != names:
        raise InputError(
            f"class_weight={class_weight}: must give a weight to each class, 0 to {classes - 1}"
        )


def example_weights(
    labels: np.ndarray, class_weight: Mapping[int, float] | None, weights: Any
) -> np.ndarray:
    """The weight of each example, float32 [n]: its own times that of its class.

    Raises:
        InputError: unless the examples' own are n finite numbers.
    """
    found = np.ones(len(labels), np.float32)
    if weights is not None:
        own = np.asarray(weights)
        if own.shape not in {(len(labels),), (len(labels), 1)} or own.dtype.kind not in "biuf":
            raise InputError(
                f"sample_weight of shape {own.shape} and type {own.dtype}: must be {len(labels)} "
                "numbers"
            )
        found *= own.reshape(-1).astype(np.float32)
    if class_weight is not None:
        found *= np.array([class_weight[c] for c in range(len(class_weight))], np.float32)[labels]
    if not np.isfinite(found).all():
        raise InputError("weights of examples: must be finite")
    return found


def _triple(data: Any) -> tuple[Any, Any, Any]:
    given = tuple(data) if isinstance(data, tuple | list) else (data,)
    if len(given) not in (2, 3) or not all(map(_is_one, given[:2])):
        raise InputError(
            "batches must be (images, labels) or (images, labels, weights), one tensor each"
        )
    return given[0], given[1], given[2] if len(given) == 3 else None


def _is_one(value: Any) -> bool:
    return isinstance(value, tf.Tensor | np.ndarray)
