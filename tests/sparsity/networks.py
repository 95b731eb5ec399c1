"""Small networks for images, how they train, and what they hold."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity import masked_weights

layers = keras.layers

SHAPE = (5, 5, 2)


def slow(*values):
    """A case of which another one like it is looked at each time."""
    return pytest.param(*values, marks=pytest.mark.slow)


def sequential() -> keras.Model:
    """Two masks in one layer, and moving statistics."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.SeparableConv2D(4, 3, use_bias=False, name="separable"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )


def functional() -> keras.Model:
    """Branches, and a nested model."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [layers.Input((6,)), layers.Dense(4, "tanh", name="deep"), layers.BatchNormalization()],
        name="inner",
    )
    images = layers.Input(SHAPE)
    sides = [layers.Conv2D(6, 5)(images), layers.SeparableConv2D(6, 5)(images)]
    both = layers.Activation("tanh")(layers.Flatten()(layers.Add()(sides)))
    return keras.Model(images, layers.Dense(3)(inner(both)))


both = pytest.mark.parametrize("make", [sequential, functional])


def examples(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, *SHAPE)).astype(np.float32)
    return x, rng.integers(0, 3, size)


def compiled(model, optimizer=None, **arguments):
    # Named by a word, its variables would be made in the first step, and graphs be made twice.
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    arguments = dict(run_eagerly=True, metrics=[accuracy]) | arguments
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.Adam(1e-2), loss, **arguments)
    return model


def fit(model, batches: slice) -> None:
    x, y = (part.reshape(10, 8, *part.shape[1:])[batches] for part in examples(80))
    data = tf.data.Dataset.from_tensor_slices((x, y))
    model.fit(data, epochs=1, shuffle=False, verbose=0)


def masks_of(model) -> list[np.ndarray]:
    return [entry.mask.numpy() for entry in masked_weights(model)]


def weights_of(model) -> list[np.ndarray]:
    return [entry.weight.numpy() for entry in masked_weights(model)]
