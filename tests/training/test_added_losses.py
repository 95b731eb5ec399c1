"""Losses that networks add by themselves count in training as they do in any tf_keras model."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, robust, values

from robust_sparse_tf import sparsify
from robust_sparse_tf.training import AdversarialModel, Mixed

layers = keras.layers
X = np.random.RandomState(0).rand(12, 6).astype(np.float32)
Y = np.random.RandomState(1).randint(0, 3, 12)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Rate(layers.Layer):
    def call(self, inputs):
        self.add_loss(2 * tf.reduce_mean(inputs**2))
        return inputs


def network(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    penalty = {kind: "l2"} if kind.endswith("regularizer") else {}
    inputs = layers.Input((6,))
    hidden = layers.Dense(8, "relu", **penalty)(inputs)
    outputs = Rate()(hidden) if kind == "layer" else hidden
    model = keras.Model(inputs, layers.Dense(3)(outputs))
    if kind == "twice":
        shared = layers.Dense(8, "relu", activity_regularizer="l2")
        model = keras.Model(inputs, layers.Dense(3)(Rate()(shared(Rate()(shared(hidden))))))
    if kind == "nested":
        model = keras.Sequential([model, Rate(), layers.Dense(3, activity_regularizer="l2")])
    if kind == "model":
        model.add_loss(2 * tf.reduce_mean(hidden**2))
    if kind == "function":
        kernel = model.layers[1].kernel
        model.add_loss(lambda: 0.1 * tf.reduce_sum(kernel**2))
    return model


def stepped(model: keras.Model) -> tuple[list[np.ndarray], float]:
    loss = float(np.ravel(model.train_on_batch(X, Y))[0])
    return [value for value in values(model) if value.shape[:1] in {(6,), (8,), (3,)}], loss


KINDS = ["activity_regularizer", "kernel_regularizer", "layer", "model", "function"]
KINDS += ["twice", "nested"]


@pytest.mark.parametrize("kind", KINDS)
def test_as_in_tf_keras(kind):
    """In sparsify's step and in AdversarialModel's, in the step and in `loss`."""
    plain = network(kind)
    plain.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    loss = float(plain.train_on_batch(X, Y))
    expected = plain.trainable_variables
    unpenalised = network("none")
    unpenalised.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    unpenalised.train_on_batch(X, Y)
    assert np.abs(expected[0] - unpenalised.trainable_variables[0]).max() > 1e-4

    ours = robust(network(kind), optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    found = float(np.ravel(ours.train_on_batch(X, Y))[0])
    if kind not in ("kernel_regularizer", "function"):  # what weights cost is not shown
        assert found == pytest.approx(loss, rel=1e-5)
    sparse = sparsify(network(kind))
    sparse.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    assert float(sparse.train_on_batch(X, Y)) == pytest.approx(loss, rel=1e-5)
    for a, b in zip(sparse.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(ours.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", ["activity_regularizer", "layer", "model"])
def test_of_clean_and_adversarial_examples(kind):
    """Each with its weight, whatever the branches; and in a graph."""
    model = network(kind)
    attacked = FGSM_ATTACK(model, X, Y)
    with tf.GradientTape() as tape:
        total = 0.0
        for weight, images in ((0.3, X), (0.7, attacked)):
            total += weight * (LOSS(Y, model(images, training=True)) + tf.add_n(model.losses))
    gradients = tape.gradient(total, model.trainable_variables)
    expected = [v - 0.1 * g for v, g in zip(model.trainable_variables, gradients, strict=True)]
    for branches, objective in ((1, Mixed(clean_weight=0.3)), (2, Mixed(clean_weight=0.3))):
        ours = robust(
            network(kind),
            FGSM_ATTACK,
            objective,
            branches=branches,
            optimizer=keras.optimizers.SGD(0.1),
            run_eagerly=branches == 1,
        )
        assert float(ours.train_on_batch(X, Y)[0]) == pytest.approx(float(total), rel=1e-5)
        for a, b in zip(ours.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_beside_the_cost_of_activations():
    ours = robust(network("model"), None, Mixed(activity_l1=1e-9), run_eagerly=True)
    other = robust(network("model"), run_eagerly=True)
    assert ours.train_on_batch(X, Y) == pytest.approx(other.train_on_batch(X, Y), rel=1e-4)


@pytest.mark.parametrize("attack", [None, FGSM_ATTACK], ids=["natural", "fgsm"])
def test_half_precision_scales_the_loss(attack):
    """Gradients too small for float16 count; the step is that of float32, except for rounding."""
    steps = []
    for policy in ("mixed_float16", "float32"):
        keras.mixed_precision.set_global_policy(policy)
        try:
            inner = network("none")
        finally:
            keras.mixed_precision.set_global_policy("float32")  # the network's own decides
        model = AdversarialModel(inner, attack)
        model.compile(keras.optimizers.SGD(1e6))
        assert hasattr(model.optimizer, "get_scaled_loss") == (policy != "float32")
        before = values(model.network)
        tiny = 1e-9 * np.ones(12, np.float32)
        model.fit(X, Y, batch_size=12, sample_weight=tiny, verbose=0)
        steps.append([a - b for a, b in zip(values(model.network), before, strict=True)])
    for half, single in zip(*steps, strict=True):
        np.testing.assert_allclose(half, single, atol=0.1 * np.abs(single).max())
