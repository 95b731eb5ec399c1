"""Training data: checks and converts images, labels and sample weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from robust_sparse_tf.data import Gather, Split
from robust_sparse_tf.data.augmentation import Augmented
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked, shown
from robust_sparse_tf.tensors import (
    Shape,
    as_array,
    as_labels,
    as_tensor,
    check_shape,
    check_types,
)
from robust_sparse_tf.values import (
    after,
    assert_images,
    assert_labels,
    assert_that,
    check_images,
    check_labels,
)

Limits: TypeAlias = tuple[float, float] | None
"""Minimum and maximum value of images; None for any number."""


class Batch(NamedTuple):
    """Images float32 [batch, ...], labels int64 [batch] and weights float32 [batch] or None."""

    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor | None = None


class Weighted:
    """Gathers images with sample weights, (images, labels, weights), from what `gather` takes."""

    def __init__(self, gather: Gather | Augmented, weights: np.ndarray) -> None:
        self._gather = gather
        self._weights = tf.Variable(weights, trainable=False)

    def __call__(self, drawn: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        numbers = drawn[0] if isinstance(drawn, tuple) else drawn
        return *self._gather(drawn), tf.gather(self._weights, numbers)


Gathers: TypeAlias = Gather | Augmented | Weighted
"""Functions from what `Split.index_batches` yields to a batch."""


def as_batch(data: Any, shape: Shape, classes: int, limits: Limits) -> Batch:
    """Makes a batch from tf_keras' argument of a step; values are asserted in the graph.

    Args:
        data: (images, labels) or (images, labels, weights), numbers of any type.
        shape: shape of the network's inputs, [batch, ...].
        classes: number of classes; labels are below.
        limits: range of the images.

    Raises:
        InputError: for anything else, or shapes and types that do not fit.
    """
    images, labels, weights = _triple(data)
    given = tf.convert_to_tensor(labels)
    images = _of_shape(as_tensor("images", images, tf.float32), shape)
    labels = as_labels("labels", given)
    check_types(images, labels)
    asserted = [assert_images(images, limits), assert_labels(labels, classes)]
    if labels.shape.rank != 1 or given.shape.rank != 1:
        each = tf.equal(tf.size(labels), tf.shape(images)[0])
        words = ["labels: must be one class number for each image"]
        asserted.append(assert_that(each, words))
    if given.dtype.is_floating:
        whole = tf.reduce_all(tf.reshape(given, [-1]) == tf.cast(labels, given.dtype))
        words = ["labels of type", given.dtype.name, ": must be integers"]
        asserted.append(assert_that(whole, words))
    if weights is not None:
        weights = _of_examples(weights, labels)
        finite = tf.reduce_all(tf.math.is_finite(weights))
        words = ["weights of examples: must be finite"]
        asserted.append(assert_that(finite, words))
    with after(asserted):  # so that a refused batch changes nothing
        return Batch(tf.identity(images), tf.identity(labels), weights)


def _of_examples(weights: Any, labels: tf.Tensor) -> tf.Tensor:
    """Sample weights as float32 [batch]."""
    weights = as_tensor("weights", weights, tf.float32)
    if not any(weights.shape.is_compatible_with([labels.shape[0], *end]) for end in ([], [1])):
        raise InputError(f"weights of shape {weights.shape}: must be one for each image")
    return tf.reshape(weights, [-1])


def _of_shape(images: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Images with the network's shape; sizes that are unknown in the graph are asserted."""
    check_shape(images, shape)
    if images.shape.rank is not None and images.shape[1:].is_fully_defined():
        return images
    sizes = tf.shape(images)[1:]
    wanted = [-1 if size is None else size for size in shape[1:]]
    fits = tf.raw_ops.Equal(x=sizes, y=wanted, incompatible_shape_error=False)
    words = ["images of sizes", sizes, f": must be {wanted}, as the network expects"]
    known = [] if -1 in wanted else [assert_that(tf.reduce_all(fits), words)]
    with after(known):
        return tf.ensure_shape(images, shape)


def of_classes(batch: Batch, weights: Sequence[float]) -> Batch:
    """Multiplies the sample weights of a batch by the weights of the classes."""
    own = tf.gather(tf.constant(weights), batch.labels)
    return batch._replace(weights=own if batch.weights is None else batch.weights * own)


def check_data(
    data: Any,
    labels: Any,
    weights: Any,
    shape: Shape,
    classes: int,
    limits: Limits,
) -> None:
    """Checks a `Split` or arrays before training; other data are checked in `as_batch`.

    Args:
        data: the argument x of `fit`.
        labels: its argument y.
        weights: its argument sample_weight.
        shape: shape of the network's inputs, [batch, ...].
        classes: number of classes; labels are below.
        limits: range of the images.

    Raises:
        InputError: naming what is wrong.
    """
    if isinstance(data, Split):
        padded, data, labels = data.augment != "none", data.images, data.labels
        scaled = data.dtype == np.uint8
        low, high = (data.min() / 255, data.max() / 255) if scaled else (data.min(), data.max())
        low = min(low, 0) if padded else low
        values = np.array([low, high], np.float32)
    elif isinstance(data, np.ndarray | tf.Tensor):
        values = data = as_array("images", data)
    else:
        return
    if labels is None:
        raise InputError("y=None: must be labels, class numbers [n]")
    labels = as_labels("labels", labels)
    check_types(data, labels)
    check_shape(data, shape)
    check_images(values, limits)
    check_labels(labels.numpy(), classes)
    if weights is not None:
        example_weights(labels.numpy(), weights)


def class_weights(given: Any, classes: int) -> tuple[float, ...] | None:
    """The weights of the classes, in order; None if not given.

    Raises:
        InputError: unless each class has a finite weight.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != set(range(classes)):
        raise InputError(
            f"class_weight={shown(given)}: must give a weight to each class, 0 to {classes - 1}"
        )
    return tuple(checked("class_weight", given[number], float) for number in range(classes))


def example_weights(labels: np.ndarray, weights: Any) -> np.ndarray:
    """The sample weights, float32 [n].

    Raises:
        InputError: unless there are n finite numbers.
    """
    own = np.asarray(weights)
    if own.shape not in {(len(labels),), (len(labels), 1)} or own.dtype.kind not in "biuf":
        raise InputError(
            f"sample_weight of shape {own.shape} and type {own.dtype}: must be {len(labels)} "
            "numbers"
        )
    found = own.reshape(-1).astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError("weights of examples: must be finite")
    return found


def _triple(data: Any) -> tuple[Any, Any, Any]:
    given = tuple(map(_inner, data)) if isinstance(data, tuple | list) else (data,)
    if len(given) not in (2, 3) or not all(map(_is_one, given[:2])):
        raise InputError(
            "batches must be (images, labels) or (images, labels, weights), one tensor each"
        )
    return given[0], given[1], given[2] if len(given) == 3 else None


def _inner(value: Any) -> Any:
    """The only item of a list or dictionary, which tf_keras accepts as input."""
    alone = isinstance(value, tuple | list | Mapping) and len(value) == 1
    return tf.nest.flatten(value)[0] if alone else value


def _is_one(value: Any) -> bool:
    return isinstance(value, tf.Tensor | np.ndarray)
