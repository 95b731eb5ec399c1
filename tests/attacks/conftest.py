"""Fixtures of attacks."""

from collections.abc import Callable

import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def logits(trained) -> Callable[[tf.Tensor], tf.Tensor]:
    """The trained network, in TensorFlow's operations alone: those of Keras' layers take longer."""
    first, second, last = trained.trainable_variables

    def network(x: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tf.reshape(x, [-1, 64]) @ first)
        return tf.nn.relu(hidden @ second) @ last

    return network
