"""Checks of what is explained, and its batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import as_images
from robust_sparse_tf.models import heads
from robust_sparse_tf.models.network import network_of, require_model, require_single
from robust_sparse_tf.tensors import as_labels, check_shape, check_types
from robust_sparse_tf.training.noise import has_noise, without_noise
from robust_sparse_tf.values import check_labels

_BATCH = 100  # images; limits the memory for any number of them


def network_in(model: Any) -> keras.Model:
    """The network that a model trains, or the model itself; a copy without noise if it has any.

    Raises:
        InputError: unless it is a built tf_keras model from images to logits [batch, classes].
    """
    network = network_of(model)
    require_model(network)
    if getattr(network, "_is_graph_network", False):
        heads.require_logits(network)
        return without_noise(network) if has_noise(network) else network
    if not network.built:
        raise InputError(f"model {network.name}: must be built; call it on images first")
    require_single(network)
    return network


def by_batches(
    network: keras.Model,
    images: Any,
    labels: Any,
    explain: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> np.ndarray:
    """The explanations of images, computed in batches.

    Args:
        network: from `network_in`.
        images: numbers [n, height, width, channels].
        labels: class numbers [n].
        explain: (images float32, labels int64) -> explanations [batch, ...].

    Raises:
        InputError: for images or labels that do not fit the network.
    """
    x, y = as_images(images), as_labels("labels", labels).numpy()
    check_types(x, y)
    if x.ndim != 4:
        raise InputError(f"images of shape {x.shape}: must be [n, height, width, channels]")
    check_shape(x, network.input_shape)
    check_labels(y, network.output_shape[-1])
    parts = [slice(first, first + _BATCH) for first in range(0, len(x), _BATCH)]
    return np.concatenate([explain(tf.constant(x[p]), tf.constant(y[p])).numpy() for p in parts])


def of_labels(network: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The logit of each image's label, float32 [batch], in inference mode."""
    logits = tf.cast(network(images, training=False), tf.float32)
    return tf.gather(logits, labels, batch_dims=1)
