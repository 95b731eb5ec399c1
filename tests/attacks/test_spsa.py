"""SPSA: exact on a linear model, and its invariants."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.losses import margin, value_and_gradient
from robust_sparse_tf.attacks.spsa import SPSA
from robust_sparse_tf.errors import InputError

FEW = SPSA(epsilon=0.2, steps=5, samples=8, learning_rate=0.05)


def test_the_estimate_is_the_gradient():
    """Of a linear model in expectation, with variance |g|^2 / samples for each entry."""
    weights = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    model = lambda x: x @ tf.constant(weights)  # noqa: E731
    x, labels = tf.random.stateless_uniform([4, 6], (0, 1)), tf.constant([0, 1, 2, 0])
    gradient = value_and_gradient(margin, model, x, labels)[2].numpy()
    attack = SPSA(samples=4000, delta=1e-3)
    run = tf.function(
        lambda: attack._gradient(model, x, labels, tf.constant([1, 2], tf.int64)), autograph=False
    )
    deviation = np.linalg.norm(gradient, axis=1, keepdims=True) / np.sqrt(4000)
    assert np.all(np.abs(run() - gradient) < 5 * deviation)


def test_goes_to_the_worst_corner_of_a_linear_model():
    """Where no point of the ball fools, what comes back has nearly the least margin of it."""
    weights = np.random.default_rng(0).normal(size=10).astype(np.float32)
    model = lambda x: tf.stack([10 + tf.linalg.matvec(x, weights), 0 * x[:, 0]], axis=1)  # noqa: E731
    x = 0.5 * tf.ones([5, 10])
    attack = SPSA(epsilon=0.1, steps=60, samples=32)
    found = tf.function(lambda: attack(model, x, tf.zeros([5], tf.int32)), autograph=False)()
    drop = (model(x) - model(found))[:, 0]
    assert np.all(drop > 0.98 * 0.1 * np.abs(weights).sum())


@hypothesis.settings(max_examples=8)
@hypothesis.given(
    epsilon=st.floats(0, 2, width=32),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_keeps_to_its_threat_model(logits, batch, epsilon, bounds, seed):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = SPSA(epsilon=epsilon, steps=2, samples=2, low=low, high=high)
    adversarial = attack(logits, x, y, seed=(seed, 0))
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    assert np.abs(adversarial - x).max() <= epsilon + 1e-6 * max(1, high)


def test_epsilon_0_changes_nothing(logits, batch):
    attack = SPSA(epsilon=0.0, steps=2, samples=2)
    np.testing.assert_array_equal(attack(logits, *batch), batch[0])


def test_lowers_the_margin(logits, batch):
    x, y = batch
    before, after = margin(logits(x), y), margin(logits(FEW(logits, x, y)), y)
    assert np.all(after <= before) and np.mean(after) < np.mean(before) - 1


def test_graph_seed_and_unknown_batch(logits, batch):
    signature = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], batch[1].dtype)]
    graph = tf.function(lambda x, y: FEW(logits, x, y, seed=(1, 2)), input_signature=signature)
    same = FEW(logits, *batch, seed=(1, 2))
    np.testing.assert_allclose(graph(*batch), same, atol=1e-3)
    np.testing.assert_array_equal(graph(*batch), graph(*batch))
    assert np.any(FEW(logits, *batch, seed=(1, 3)) != same)


def test_what_is_fooled_already_stays(logits, batch):
    x, _ = batch
    predicted = tf.argmax(logits(x), axis=1)
    labels = tf.where(tf.range(16) % 2 == 0, predicted, (predicted + 1) % 10)
    changed = np.any((FEW(logits, x, labels) != x).numpy().reshape(16, -1), axis=1)
    np.testing.assert_array_equal(changed, np.arange(16) % 2 == 0)


def test_refuses():
    with pytest.raises(InputError, match="samples=0: must be at least 1"):
        SPSA(samples=0)
    with pytest.raises(InputError, match="norm=l2: must be linf"):
        SPSA(norm="l2")
