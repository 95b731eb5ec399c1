"""The networks and inputs that bounds are of, checked."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of, require_single, require_tf_keras
from robust_sparse_tf.sparsity.wrapper import strip
from robust_sparse_tf.tensors import as_array, as_tensor, check_types
from robust_sparse_tf.values import assert_images, check_images

ANY_RANGE = (-math.inf, math.inf)


def unwrapped(model: Any) -> keras.Model:
    """The plain functional network inside a model.

    Raises:
        InputError: unless it is a built Sequential or functional tf_keras model with one input and
            one output.
    """
    network = network_of(model)
    require_tf_keras(network)
    if not getattr(network, "_is_graph_network", False):
        raise InputError(f"model {network.name}: must be built; begin it with an Input layer")
    require_single(network)
    return strip(network)


def as_images(value: Any, limits: tuple[float, float] = ANY_RANGE) -> np.ndarray:
    """Converts numbers of any type to float32 [n, ...]; clips rounding errors outside the limits.

    Raises:
        InputError: for values that are not numbers, or outside the limits.
    """
    images = as_array("images", value).astype(np.float32, copy=False)
    check_types(images, None)
    check_images(images, None if limits == ANY_RANGE else limits)
    if images.min() < limits[0] or images.max() > limits[1]:
        return np.clip(images, np.float32(limits[0]), np.float32(limits[1]))
    return images


def in_range(x: Any, limits: tuple[float, float]) -> tf.Tensor:
    """Like `as_images`, for tensors; in a graph, where values are unknown, it asserts limits."""
    if tf.executing_eagerly():
        return tf.constant(as_images(x, limits))
    x = as_tensor("x", x, tf.float32)
    check_types(x, None)
    assert_images(x, limits)
    return tf.clip_by_value(x, *limits)
