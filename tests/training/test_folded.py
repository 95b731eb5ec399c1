"""Batch normalization folded into the layers before it: the same logits and gradients."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.sparsity import Magnitude
from robust_sparse_tf.training import AdversarialModel, StepOptions
from robust_sparse_tf.training.gradients.folded import Folded, can_fold

layers = keras.layers
SHAPE = (9, 9, 2)


def network(body) -> keras.Model:
    inputs = layers.Input(SHAPE)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(body(inputs))))


def convolution(x, **arguments):
    return layers.Conv2D(3, 3, **arguments)(x)


def norm(x, **arguments):
    return layers.BatchNormalization(**arguments)(x)


def shared(x):
    layer = layers.Conv2D(2, 3, padding="same")
    return norm(layer(norm(layer(x))))


def read_twice(x):
    y = convolution(x)
    return layers.Add()([norm(y), y])


def doubled(x):
    y = norm(convolution(x, strides=2, padding="same"))
    return layers.Add()([y, y])


def over_height(x):
    return layers.Permute((2, 1, 3))(norm(convolution(x), axis=1))


def dense_too(x):
    return norm(layers.Dense(5, use_bias=False)(layers.Flatten()(norm(x))))


BODIES = {
    "after a convolution": (lambda x: norm(convolution(x)), 1),
    "dilated, without bias": (lambda x: norm(convolution(x, dilation_rate=2, use_bias=False)), 1),
    "without scale": (lambda x: norm(convolution(x), scale=False), 1),
    "without centre": (lambda x: norm(convolution(x), center=False), 1),
    "dense": (dense_too, 1),
    "shared layer": (shared, 2),
    "an output that is read twice": (read_twice, 0),
    "a normalized output that is read twice": (doubled, 1),
    "after an activation": (lambda x: norm(convolution(x, activation="relu")), 0),
    "over another axis": (over_height, 0),
    "frozen": (lambda x: norm(convolution(x, trainable=False), trainable=False), 1),
}


def with_statistics(made: keras.Model) -> keras.Model:
    """Gives batch normalization weights other than its initial ones."""
    rng = np.random.default_rng(0)
    for layer in made.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return made


def assert_equal(made: keras.Model, folded: int) -> None:
    found = Folded(made)
    assert len(found._norms) == folded
    x = tf.constant(np.random.default_rng(1).random((5, *made.input_shape[1:])))
    results = []
    for logits in (lambda x: made(x, training=False), found):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = logits(x)
            total = tf.reduce_sum(tf.sin(values))
        results.append((values, tape.gradient(total, x)))
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-12 * float(tf.reduce_max(tf.abs(other))))


@pytest.fixture
def in_double():
    """Rounding of float32 moves inputs of ReLU over 0, which changes gradients."""
    for kind in ("float64", "float32"):
        keras.backend.set_floatx(kind)
        keras.mixed_precision.set_global_policy(kind)  # which counts if another test has set one
        if kind == "float64":
            yield


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(("body", "folded"), BODIES.values(), ids=BODIES)
def test_logits_and_gradients_are_those_of_the_network(body, folded):
    keras.utils.set_random_seed(0)
    assert_equal(with_statistics(network(body)), folded)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(("name", "folded"), [("resnet20", 19), ("vgg16", 13), ("resnet50", 53)])
def test_networks_of_the_studies(name, folded):
    keras.utils.set_random_seed(0)
    made = with_statistics(models.BY_NAME[name]((32, 32, 3), 10, width=1 / 16))
    assert_equal(sparsify(made, Magnitude(0.5)), folded)


def test_networks_that_are_called_as_they_are():
    half = keras.mixed_precision.Policy("mixed_float16")
    inputs = layers.Input(SHAPE)
    two = keras.Model(inputs, [norm(inputs), inputs])
    in_half = keras.Sequential([inputs, layers.BatchNormalization(dtype=half)])
    in_half._set_dtype_policy(half)
    for made in (models.lenet_300_100(), two, in_half):
        assert not can_fold(made)


def test_the_weights_are_those_of_the_moment():
    """The train step is traced once, and its weights move."""
    keras.utils.set_random_seed(0)
    made = with_statistics(network(BODIES["after a convolution"][0]))
    found, x = tf.function(Folded(made)), tf.ones((2, *SHAPE))
    before = found(x)
    made.layers[1].kernel.assign_add(tf.ones_like(made.layers[1].kernel))
    assert np.any(found(x) != before)
    np.testing.assert_allclose(found(x), made(x, training=False), rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"bn_attack": "training"}])
def test_a_step_on_adversarial_examples(options, monkeypatch):
    """The step is that of a network whose batch normalization is not folded."""
    results = []
    for fold in (True, False):
        if not fold:
            monkeypatch.setattr("robust_sparse_tf.training.gradients.passes.can_fold", bool)
            monkeypatch.setattr(
                "robust_sparse_tf.training.gradients.passes.Folded",
                lambda made: functools.partial(made, training=False),
            )
        keras.utils.set_random_seed(0)
        made = with_statistics(network(BODIES["after a convolution"][0]))
        model = AdversarialModel(
            made, PGD(epsilon=0.1, steps=2), branches=2, step_options=StepOptions(**options)
        )
        model.compile(keras.optimizers.SGD(0.1), jit_update=False)
        rng = np.random.default_rng(0)
        x, y = rng.random((6, *SHAPE)).astype(np.float32), rng.integers(0, 4, 6)
        model.train_on_batch(x, y)
        results.append(made.get_weights())
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
