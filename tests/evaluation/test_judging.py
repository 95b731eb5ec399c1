"""Probes for gradient masking see the draws of the evaluation, whatever their attack is."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import FGSM, PGD, DeepFool, Square, UniformNoise
from robust_sparse_tf.evaluation.judging import Judge, draws_of, with_draws

X = tf.constant(np.random.default_rng(0).uniform(size=(12, 6)), tf.float32)
Y = tf.zeros(12, tf.int64)


class Counted:
    """Logits of class 0, less noise that is the same for a whole batch; counts its passes."""

    def __init__(self, noise: float) -> None:
        self._noise = noise
        self._drawn = tf.random.Generator.from_seed(0)
        self.passes = tf.Variable(0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        self.passes.assign_add(1)
        total = 1 + tf.reduce_sum(x, axis=1) - self._noise * self._drawn.normal([])
        return tf.stack([total, tf.zeros_like(total)], axis=1)


@pytest.mark.parametrize(
    ("attack", "queries"),
    [
        (FGSM(epsilon=0.1), 1),
        (PGD(epsilon=0.1, steps=3), 3),
        (Square(epsilon=0.1, queries=4), 5),
        (None, 0),
    ],
    ids=["fgsm", "pgd", "square", "none"],
)
@pytest.mark.parametrize(("draws", "passes"), [(1, 1), (4, 3)])
def test_draws_and_passes(attack, queries, draws, passes):
    """Each query of an attack takes the draws, and each judgement the passes."""
    model = Counted(0)
    Judge(model, 0, draws=draws, passes=passes).stands(attack, X, Y)
    assert model.passes.numpy() == queries * draws + passes


def test_majorities_and_mean_logits():
    """A pass fails in a fifth of the cases, most of 25 passes hardly ever; margins are means."""
    noise = Counted(6)
    single = [Judge(noise, 0).stands(None, X, Y).all() for _ in range(60)]
    assert 0.05 < 1 - np.mean(single) < 0.6
    assert all(Judge(noise, 0, passes=25).stands(None, X, Y).all() for _ in range(5))
    whole = 1 + X.numpy().sum(axis=1)
    margins = [Judge(noise, 0, noisy=noisy).margins(None, X, Y) for noisy in (False, True)]
    again = Judge(Counted(0), 0, batch_size=5).margins(None, X, Y)
    np.testing.assert_allclose(again, whole, rtol=1e-5)
    assert np.abs(margins[1] - whole).max() < 6  # of 20 passes, 4.5 deviations


def test_gradients_are_of_all_examples():
    found = Judge(Counted(0), 0, draws=2, batch_size=5).gradients(X, Y)
    expected = -1 / (1 + np.exp(1 + X.numpy().sum(axis=1)))
    np.testing.assert_allclose(found, np.tile(expected[:, None], 6), rtol=1e-4)


def test_draws_of_attacks():
    """Noise has draws of another kind, and some attacks have none."""
    assert draws_of(PGD(draws=7)) == 7 and draws_of(UniformNoise(draws=7)) == 1
    assert with_draws(FGSM(), 5) == FGSM(draws=5)
    for attack in (UniformNoise(), DeepFool(), Square()):
        assert with_draws(attack, 5) is attack and draws_of(attack) == 1
