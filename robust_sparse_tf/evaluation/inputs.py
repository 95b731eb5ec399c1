"""What an evaluation is given, checked before hours are spent on it."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError


def as_logits(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """One callable from inputs to logits, at inference.

    Raises:
        InputError: for what is neither a tf_keras model nor a function.
    """
    network = getattr(model, "network", model)
    if isinstance(network, keras.Model):
        return _with_autograph(lambda x: network(x, training=False))
    if not callable(network):
        raise InputError(
            f"model of type {type(model).__name__}: must be a tf_keras model, or a function from "
            "images to logits"
        )
    return _with_autograph(network)


def graph(function: Callable) -> tf.types.experimental.PolymorphicFunction:
    """As `tf.function`, for attacks, which branch by TensorFlow's operations alone.

    AutoGraph's rewriting of them would take longer than they take on small networks.
    """
    return tf.function(function, autograph=False)


def _with_autograph(logits: Callable) -> Callable:
    """For the code of others, which may branch by Python's `if`: AutoGraph inside of `graph`."""
    autograph = tf.__internal__.autograph  # as Keras has it for its layers
    return autograph.tf_convert(logits, autograph.control_status_ctx())


def connected(
    logits: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray
) -> tuple[Callable[[tf.Tensor], tf.Tensor], bool]:
    """A model with a gradient, if only of zeros, so that attacks run; and whether it had one."""
    x = tf.constant(images[:2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = logits(x)
    if tape.gradient(value, x) is not None:
        return logits, True
    return lambda x: logits(x) + 0 * tf.reduce_sum(x), False


def is_noisy(logits: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray) -> bool:
    """Whether the same images give other logits each time."""
    few = tf.constant(images[:32])
    first, second = logits(few).numpy(), logits(few).numpy()
    return bool(np.abs(first - second).max() > 1e-3 * np.abs(first).max())


def digest(images: np.ndarray, labels: np.ndarray) -> str:
    """A short name of the examples."""
    whole = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    whole.update(labels.tobytes())
    return whole.hexdigest()[:16]
