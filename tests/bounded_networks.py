"""Networks of every layer that interval bounds know, with random weights and statistics."""

import functools

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models, sparsity
from robust_sparse_tf.models.layers import ParameterFreeShortcut
from robust_sparse_tf.models.parts import binary_logits

SHAPE = (8, 8, 2)
layers = keras.layers


def mlp() -> keras.Model:
    return models.mlp(SHAPE, 4, hidden=(20, 15))


def masked() -> keras.Model:
    """Layers of a sparse model are wrapped."""
    return sparsity.sparsify(models.mlp(SHAPE, 4, hidden=(20, 15)), sparsity.Magnitude(0.3))


def convolutional(groups: int = 2) -> keras.Model:
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling([2.0, -3.0], [0.5, 0.1]),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(3, 2, padding="same"),
            layers.Conv2D(6, 3, 2, groups=groups),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.AveragePooling2D(2, 1, padding="same"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(12),
            layers.Activation("relu"),
            layers.Dense(4),
        ]
    )


def binary() -> keras.Model:
    """One output, which becomes two logits."""
    hidden = layers.Dense(20, activation="relu")
    return keras.Sequential([layers.Input(SHAPE), layers.Flatten(), hidden, *binary_logits(2)])


def two_columns() -> keras.Model:
    """The same network with two outputs, of which one is 0."""
    one, two = binary(), models.mlp(SHAPE, 2, hidden=(20,))
    *first, kernel, bias = one.get_weights()
    two.set_weights([*first, *(np.insert(value, 0, 0, axis=-1) for value in (kernel, bias))])
    return two


def residual() -> keras.Model:
    inputs = layers.Input(SHAPE)
    x = layers.BatchNormalization()(inputs)
    y = layers.ZeroPadding2D(1)(x)
    y = layers.Conv2D(3, 3, 2, activation="tanh")(y)
    x = layers.Add()([y, ParameterFreeShortcut(3, 2)(x)])
    x = layers.Concatenate()([layers.ReLU()(x), y])
    nested = keras.Sequential([layers.Input((4, 4, 6)), layers.Conv2D(8, 1), layers.ReLU()])
    x = nested(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(inputs, layers.Dense(4, use_bias=False)(x))


def resnet() -> keras.Model:
    return models.resnet20(SHAPE, 4, width=0.2)


def pooled() -> keras.Model:
    """The last layer is none that could take differences over."""
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, activation="sigmoid"),
            layers.Conv2D(4, 3, dilation_rate=2),
            layers.GlobalAveragePooling2D(),
        ]
    )


CHAINS = {"mlp": mlp, "masked": masked, "convolutional": convolutional}
ALL = {**CHAINS, "residual": residual, "resnet": resnet, "pooled": pooled}
# TensorFlow has no gradient of several groups on many processors.
ALL |= {"ungrouped": functools.partial(convolutional, groups=1)}


def make(name: str, seed: int = 0) -> keras.Model:
    """A network by name, none of whose weights and statistics are as they begin."""
    keras.utils.set_random_seed(seed)
    model = ALL[name]()
    rng = np.random.default_rng(seed)
    for layer in model.submodules:
        if isinstance(layer, layers.BatchNormalization):
            for weight in (layer.gamma, layer.beta, layer.moving_mean):
                weight.assign(rng.normal(size=weight.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size=layer.moving_variance.shape))
        elif getattr(layer, "bias", None) is not None and isinstance(layer.bias, tf.Variable):
            layer.bias.assign(0.3 * rng.normal(size=layer.bias.shape))
    return model


def inputs(count: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).random((count, *SHAPE)), tf.float32)
