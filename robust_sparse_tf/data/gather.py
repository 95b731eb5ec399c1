"""Images in memory, gathered by number inside a graph."""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.tensors import as_array, as_tensor, check_types
from robust_sparse_tf.values import check_images


class Gather:
    """Gathers images by number, inside any graph: numbers [batch] -> (images, labels).

    If made inside a distribution strategy's scope, each replica holds its own copy.

    Args:
        images: [n, ...], uint8, which are divided by 255, or finite floats.
        labels: integers [n].

    Raises:
        InputError: for other shapes, types or values.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        images, labels = as_array("images", images), as_array("labels", labels)
        check_types(images, labels)
        if images.dtype.kind == "f":
            check_images(images, None)
        self._images = tf.Variable(images, trainable=False)
        self._labels = tf.Variable(labels, trainable=False)
        self._scale = 255.0 if images.dtype == np.uint8 else 1.0

    def __call__(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = as_tensor("numbers", numbers)
        if not numbers.dtype.is_integer:
            raise InputError(f"numbers of type {numbers.dtype.name}: must be integers")
        known, size = tf.get_static_value(numbers), self._labels.shape[0]
        if known is not None and known.size and (known.min() < 0 or known.max() >= size):
            raise InputError(f"numbers from {known.min()} to {known.max()}: must be in [0, {size})")
        images = tf.cast(tf.gather(self._images, numbers), tf.float32)
        if self._scale != 1.0:
            images /= self._scale
        return images, tf.gather(self._labels, numbers)
