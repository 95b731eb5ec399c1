"""Bounds in training: clean forward pass, statistics of the batch, gradients."""

import bounded_networks
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import bounds, models, sparsity
from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds.interval_bounds import training_margins

BALL = Ball("linf", 0.05)
Y = tf.constant([0, 1, 2, 3] * 4, tf.int64)
# Dropout is random in training, and TensorFlow has no gradient of several groups.
NAMES = ["mlp", "residual"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("masked", "resnet", "pooled")]
every_network = pytest.mark.parametrize("name", [*NAMES, *SLOW])


@every_network
def test_the_pass_is_the_network_in_training_mode(name):
    network, twin = bounded_networks.make(name), bounded_networks.make(name)
    x = bounded_networks.inputs(16)
    logits, _ = training_margins(network, x, Y, BALL)
    np.testing.assert_allclose(logits, twin(x, training=True), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(network.weights, twin.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=ours.name)


@every_network
def test_bounds_hold_the_same_batch(name):
    """Margins of the corners of the ball, if batch norm keeps the clean batch's statistics."""
    network = bounded_networks.make(name)
    x = bounded_networks.inputs(16)
    _, margins = training_margins(network, x, Y, BALL)
    frozen = _with_statistics(name, x)
    np.testing.assert_allclose(margins, bounds.margin_bounds(frozen, x, Y, BALL), 1e-3, 1e-3)
    rng = np.random.default_rng(0)
    for _ in range(10):
        moved = np.clip(x + 0.05 * rng.choice([-1, 1], size=x.shape), 0, 1).astype("float32")
        logits = frozen(moved, training=False)
        gaps = tf.gather(logits, Y, batch_dims=1)[:, None] - logits
        other = np.isfinite(margins)
        assert np.all(margins.numpy()[other] <= gaps.numpy()[other] + 1e-4)


def _with_statistics(name: str, x: tf.Tensor) -> keras.Model:
    """The network whose running averages are the statistics of this batch."""
    network = bounded_networks.make(name)
    for layer in network.submodules:
        if isinstance(layer, keras.layers.BatchNormalization):
            value = keras.Model(network.inputs, layer.input)(x, training=False)
            mean, variance = tf.nn.moments(value, [0, 1, 2])
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)  # without the correction of running averages
    return network


@every_network
def test_the_gradient_is_that_of_differences(name):
    """Along one direction of all weights, in float32."""
    network = bounded_networks.make(name)
    x, variables = bounded_networks.inputs(16), network.trainable_variables
    other = tf.one_hot(Y, 4, on_value=False, off_value=True)

    @tf.function
    def value():
        logits, margins = training_margins(network, x, Y, BALL)
        return tf.reduce_sum(tf.tanh(logits)) + tf.reduce_sum(
            tf.where(other, tf.tanh(margins / 20), 0.0)
        )

    with tf.GradientTape() as tape:
        start = value()
    gradients = tape.gradient(start, variables)
    assert all(np.all(np.isfinite(g)) for g in gradients)
    assert all(np.any(g != 0) for g in gradients[-2:])
    rng, size = np.random.default_rng(0), 1e-4
    steps = [rng.normal(size=v.shape).astype("float32") for v in variables]
    before = [v.numpy() for v in variables]
    ends = []
    for sign in (-1, 1):
        for v, b, s in zip(variables, before, steps, strict=True):
            v.assign(b + sign * size * s)
        ends.append(float(value()))
    expected = sum(float(np.sum(g * s)) for g, s in zip(gradients, steps, strict=True))
    assert (ends[1] - ends[0]) / (2 * size) == pytest.approx(expected, rel=0.1, abs=0.5)


def test_frozen_batch_norm_keeps_its_running_averages():
    network = bounded_networks.make("residual")
    network.trainable = False
    x, before = bounded_networks.inputs(16), network.get_weights()
    logits, margins = training_margins(network, x, Y, BALL)
    np.testing.assert_allclose(margins, bounds.margin_bounds(network, x, Y, BALL), 1e-4, 1e-4)
    np.testing.assert_allclose(logits, network(x, training=False), 1e-4, 1e-4)
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_masks_are_those_of_the_weights():
    dense = models.mlp(bounded_networks.SHAPE, 4, hidden=(20, 15))
    sparse = sparsity.sparsify(dense, sparsity.Magnitude(0.3))
    x = bounded_networks.inputs(16)
    _, margins = training_margins(sparse, x, Y, BALL)
    np.testing.assert_array_equal(margins, bounds.margin_bounds(sparse, x, Y, BALL))
