"""Noise keeps to its threat model, is what it says, and keeps the worst of its draws."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.noise import GaussianNoise, UniformNoise
from robust_sparse_tf.errors import InputError

MAKERS = pytest.mark.parametrize("maker", [UniformNoise, GaussianNoise])


@MAKERS
@hypothesis.settings(max_examples=12)
@hypothesis.given(
    epsilon=st.floats(0, 3, width=32),
    norm=st.sampled_from(["linf", "l2"]),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_keeps_to_its_threat_model(maker, logits, batch, epsilon, norm, bounds, seed):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = maker(epsilon=epsilon, norm=norm, draws=2, low=low, high=high)
    adversarial = attack(logits, x, y, seed=(seed, 0))
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    distance = np.max(norms.distance(adversarial - x, norm))
    assert distance <= epsilon * (1 + 1e-5) + 8e-5 * (high > 1) + 1e-6


@MAKERS
def test_epsilon_0_changes_nothing(maker, logits, batch):
    np.testing.assert_array_equal(maker(epsilon=0.0)(logits, *batch), batch[0])


@MAKERS
def test_graph_seed_and_unknown_batch(maker, logits, batch):
    attack = maker(epsilon=0.2, draws=3)
    signature = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], batch[1].dtype)]
    graph = tf.function(lambda x, y: attack(logits, x, y, seed=(1, 2)), input_signature=signature)
    same = attack(logits, *batch, seed=(1, 2))
    np.testing.assert_allclose(graph(*batch), same, atol=1e-6)
    assert np.any(attack(logits, *batch, seed=(1, 3)) != same)


@MAKERS
def test_what_is_fooled_already_stays(maker, logits, batch):
    x, _ = batch
    predicted = tf.argmax(logits(x), axis=1)
    labels = tf.where(tf.range(16) % 2 == 0, predicted, (predicted + 1) % 10)
    adversarial = maker(epsilon=0.2)(logits, x, labels)
    changed = np.any((adversarial != x).numpy().reshape(16, -1), axis=1)
    np.testing.assert_array_equal(changed, np.arange(16) % 2 == 0)


@MAKERS
def test_more_draws_are_worse(maker, logits, batch):
    """The first draws are the same, so the loss of none can be lower unless it is fooled."""
    attack, losses = maker(epsilon=0.1), []
    x, y = batch
    for draws in (1, 20):
        found = logits(dataclasses.replace(attack, draws=draws)(logits, x, y))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=found)
        losses.append(np.where(np.argmax(found, axis=1) != y, np.inf, loss))
    assert np.all(losses[1] >= losses[0]) and np.any(losses[1] > losses[0])


def test_targeted_noise_goes_towards_the_target(batch):
    x = 0.5 * tf.ones([50, 2])
    identity = dict(draws=20, epsilon=0.1)
    model = lambda x: 2 * x  # noqa: E731
    away = UniformNoise(**identity)(model, x, tf.zeros([50], tf.int32))
    assert np.all(away[:, 1] > away[:, 0])  # class 0 is first in a tie
    towards = UniformNoise(targeted=True, **identity)(model, x, None, targets=tf.ones(50, tf.int32))
    np.testing.assert_array_equal(towards, away)


def test_gaussian_noise_has_its_deviation():
    x = 0.5 * tf.ones([1, 100_000])
    model = lambda x: tf.stack([x[:, 0] * 0 + 2, x[:, 0] * 0], axis=1)  # noqa: E731
    noise = GaussianNoise(epsilon=0.5, std=0.05, draws=1)(model, x, tf.constant([0])) - x
    # The deviation of a sample of n has the deviation std / sqrt(2 n).
    assert abs(np.std(noise) - 0.05) < 5 * 0.05 / np.sqrt(200_000)
    assert abs(np.mean(noise)) < 5 * 0.05 / np.sqrt(100_000)


def test_refuses():
    with pytest.raises(InputError, match="std=0.0: must be above 0"):
        GaussianNoise(std=0.0)
    with pytest.raises(InputError, match="norm=l1: must be linf or l2"):
        UniformNoise(norm="l1")
