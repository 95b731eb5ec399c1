"""What an evaluation is given, checked before hours are spent on it."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import checks
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import require_tf_keras, strip


def as_logits(model: Any) -> Logits:
    """One callable from inputs to logits, at inference.

    Raises:
        InputError: for what is neither a tf_keras model nor a function.
    """
    network = network_of(model)
    if isinstance(network, keras.Model):
        return _with_autograph(lambda x: network(x, training=False))
    if not callable(network):
        raise InputError(
            f"model of type {type(model).__name__}: must be a tf_keras model, or a function from "
            "images to logits"
        )
    return _with_autograph(network)


def graph(function: Callable[..., Any]) -> tf.types.experimental.PolymorphicFunction:
    """As `tf.function`, for attacks, which branch by TensorFlow's operations alone.

    AutoGraph's rewriting of them would take longer than they take on small networks.
    """
    return tf.function(function, autograph=False)


def _with_autograph(logits: Logits) -> Logits:
    """For the code of others, which may branch by Python's `if`: AutoGraph inside of `graph`."""
    autograph = tf.__internal__.autograph  # as Keras has it for its layers
    return autograph.tf_convert(logits, autograph.control_status_ctx())


def connected(logits: Logits, images: np.ndarray) -> tuple[Logits, bool]:
    """A model with a gradient, if only of zeros, so that attacks run; and whether it had one."""
    x = tf.constant(images[:2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = logits(x)
    if tape.gradient(value, x) is not None:
        return logits, True
    return lambda x: logits(x) + 0 * tf.reduce_sum(x), False


def is_noisy(logits: Logits, images: np.ndarray) -> bool:
    """Whether the same images give other logits each time."""
    few = tf.constant(images[:32])
    first, second = logits(few).numpy(), logits(few).numpy()
    return bool(np.abs(first - second).max() > 1e-3 * np.abs(first).max())


def digest(images: np.ndarray, labels: np.ndarray) -> str:
    """A short name of the examples."""
    whole = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    whole.update(labels.tobytes())
    return whole.hexdigest()[:16]


def unwrapped(model: Any) -> keras.Model:
    """The plain functional network inside.

    Raises:
        InputError: for anything else than a built Sequential or functional tf_keras model.
    """
    network = network_of(model)
    require_tf_keras(network)
    if not getattr(network, "_is_graph_network", False):
        raise InputError(f"model {network.name}: must be built; begin it with an Input layer")
    return strip(network)


def batches(split: Split, size: int) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """All of a split, in order: (int64 number of the first, images, labels) of up to `size`."""
    require_split(split)
    for first in range(0, split.size, size):
        numbers = tf.range(first, min(first + size, split.size), dtype=tf.int64)
        yield numbers[0], *split.gather(numbers)


def require_split(split: Any) -> None:
    """Raises InputError for data that is not a `Split`."""
    if not isinstance(split, Split):
        raise InputError(
            f"data of type {type(split).__name__}: must be a robust_sparse_tf.data.Split"
        )


def images_and_labels(data: Any, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [n, ...] and labels int64 [n].

    Args:
        data: a `Split`, whose bytes are scaled to [0, 1], or (images, labels).
        limits: least and largest value allowed.

    Raises:
        InputError: naming what is wrong.
    """
    if isinstance(data, Split):
        images, labels = data.images, data.labels
        if images.dtype == np.uint8:
            images = images.astype(np.float32) / np.float32(255)
    elif isinstance(data, tuple) and len(data) == 2:
        images, labels = np.asarray(data[0], np.float32), np.asarray(data[1])
    else:
        raise InputError(
            f"data of type {type(data).__name__}: must be a robust_sparse_tf.data.Split or "
            "(images, labels)"
        )
    checks.check_types(images, labels)
    checks.check_images(images, limits)
    return images, labels.astype(np.int64)
