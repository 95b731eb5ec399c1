"""A small network whose masks change as it trains, and a layer as methods see it."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.sparsity import LayerState

layers = keras.layers


def network(regularizer=None) -> keras.Model:
    """A convolution, a dense layer and logits, on images of 5 x 5."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((5, 5, 1)),
            layers.Conv2D(4, 3, activation="tanh", kernel_regularizer=regularizer, name="conv"),
            layers.Flatten(),
            layers.Dense(8, "tanh", kernel_regularizer=regularizer, name="hidden"),
            layers.Dense(3, name="logits"),
        ]
    )


def examples(steps: int, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * size, 5, 5, 1)).astype(np.float32)
    return x, rng.integers(0, 3, steps * size)


def compiled(method, optimizer=None, model=None, **arguments):
    model = sparsify(model or network(), method)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.Adam(1e-2), loss, **arguments)
    return model


def state(active: int, shape: tuple[int, int] = (20, 20)) -> LayerState:
    """A random layer of so many active weights."""
    rng = np.random.default_rng(active)
    mask = rng.permutation(shape[0] * shape[1]).reshape(shape) < active
    weight, gradient = np.float32(rng.normal(size=(2, *shape)))
    tensors = (weight * mask, mask, gradient)
    return LayerState("layer", 0, shape, *map(tf.constant, tensors))
