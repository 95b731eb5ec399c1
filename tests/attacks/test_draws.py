"""Expectation over transformation: gradients of models with noise are averaged over draws."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import APGD, BIM, FGSM, MIM, PGD, RFGSM, norms
from robust_sparse_tf.attacks.loop import restarted
from robust_sparse_tf.attacks.losses import averaged_logits, cross_entropy, value_and_gradient

RNG = np.random.default_rng(0)
WEIGHT = np.float32(RNG.normal(size=(12, 8)))
LAST = np.float32(RNG.normal(size=(8, 5)))
X, Y = np.float32(RNG.uniform(size=(6, 12))), np.int64([0, 1, 2, 3, 4, 0])


def of_weights(draw):
    """One draw of the weights per forward pass, the same for the whole batch."""
    return lambda x: tf.tanh(x @ (WEIGHT + 0.5 * draw(WEIGHT.shape))) @ LAST


def of_activations(draw):
    def model(x: tf.Tensor) -> tf.Tensor:
        hidden = x @ WEIGHT
        return tf.tanh(hidden + 0.5 * draw(tf.shape(hidden))) @ LAST

    return model


@pytest.mark.parametrize("noise", [of_weights, of_activations])
def test_deviation_falls_with_the_root_of_the_draws(noise):
    generator = tf.random.Generator.from_seed(1)
    model = noise(generator.normal)

    def deviation(draws: int) -> float:
        gradient = tf.function(
            lambda: value_and_gradient(cross_entropy, model, tf.constant(X), Y, draws)[2]
        )
        found = np.stack([gradient() for _ in range(300)])
        return float(np.sqrt(found.var(axis=0).mean()))

    assert deviation(1) / deviation(16) == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("noise", [of_weights, of_activations])
def test_equal_the_mean_of_single_draws(noise):
    generator = tf.random.Generator.from_seed(2)
    model = noise(generator.normal)
    given = cross_entropy, model, tf.constant(X), Y
    single = [[part.numpy() for part in value_and_gradient(*given)] for _ in range(5)]
    generator.reset_from_seed(2)
    found = value_and_gradient(*given, draws=5)
    for part, parts in zip(found, zip(*single, strict=True), strict=True):
        np.testing.assert_allclose(part, np.mean(parts, axis=0), atol=1e-6)
    generator.reset_from_seed(2)
    np.testing.assert_allclose(averaged_logits(model, tf.constant(X), 5), found[1], atol=1e-6)


ATTACKS = [
    PGD(epsilon=0.1, steps=2, draws=4),
    PGD(epsilon=0.1, steps=2, draws=4, random_start=True, stop_when_fooled=True),
    APGD(epsilon=0.1, steps=2, draws=4),
    FGSM(epsilon=0.1, draws=4),
    RFGSM(epsilon=0.1, draws=4),
    MIM(epsilon=0.1, steps=2, draws=4),
    BIM(epsilon=0.1, steps=2, draws=4),
]


# The linear model's weights without noise, and inputs that stay correct with it.
BASE = np.float32(RNG.normal(size=(12, 5)))
MANY = np.float32(RNG.uniform(size=(300, 12)))
MARGINS = np.diff(np.sort(MANY @ BASE, axis=1)[:, -2:])[:, 0]
CLEAR = MANY[np.argsort(MARGINS)[-6:]]
LABELS = np.argmax(CLEAR @ BASE, axis=1)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_first_step_follows_the_mean_gradient(attack, monkeypatch):
    """It is that of a linear model, by hand, at the four draws before the step."""
    shown, followed = [], []

    def model(x: tf.Tensor) -> tf.Tensor:
        weight = BASE + np.float32(RNG.normal(size=BASE.shape, scale=0.3))
        shown.append((x.numpy(), weight))
        return x @ weight

    def steepest(gradient: tf.Tensor, *rest) -> tf.Tensor:
        if not followed:
            followed.extend([gradient.numpy(), *shown[-4:]])
        return whole(gradient, *rest)

    whole = norms.steepest
    monkeypatch.setattr(norms, "steepest", steepest)
    attack(model, CLEAR, LABELS)
    found, *seen = followed
    singles = [by_hand(*draw) for draw in seen]
    for x, _ in seen:
        np.testing.assert_array_equal(x, seen[0][0])
    expected = np.mean(singles, axis=0)
    if isinstance(attack, MIM):  # which normalises gradients in l1
        expected /= np.abs(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(singles[0] - np.mean(singles, axis=0)).max() > 0.01


def by_hand(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The gradient of the cross-entropy of the logits x @ weight."""
    powers = np.exp(x @ weight)
    return (powers / powers.sum(axis=1, keepdims=True) - np.eye(5)[LABELS]) @ weight.T


@pytest.mark.parametrize("draws, passes", [(1, 1), (3, 3)])
def test_attempts_are_compared_by_mean_logits(draws, passes):
    """As many passes per attempt as draws; the attack itself is not run here."""
    seen = []

    def model(x: tf.Tensor) -> tf.Tensor:
        seen.append(len(x))
        return x @ BASE

    attempt = lambda model, x, labels, seed: x  # noqa: E731
    restarted(FGSM(), attempt, model, tf.constant(CLEAR), tf.constant(LABELS), (0, 0), 2, draws)
    assert seen == [6] * 2 * passes
