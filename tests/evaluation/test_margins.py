import dataclasses
import warnings

import numpy as np
import pytest
import tensorflow as tf
from linear_problem import ExactLinear, distances, model, split

from robust_sparse_tf.attacks import FGSM, PGD, RFGSM, MinimumNorm
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.evaluation.margins import r_2, r_inf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nothing(MinimumNorm):
    """Finds nothing."""

    def perturb(self, model, x, labels, seed):
        return x


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(MinimumNorm):
    """Goes far away, at random."""

    def perturb(self, model, x, labels, seed):
        return x + 100 * tf.random.stateless_normal(tf.shape(x), seed)


@pytest.mark.parametrize("kind", [FGSM, RFGSM])
def test_r_inf_is_the_accuracy_under_attack(kind, trained, digits):
    attack = kind(epsilon=0.1)
    x, y = digits[2].gather(tf.range(digits[2].size, dtype=tf.int64))
    adversarial = attack(trained.network, x, y, seed=(3, 0))
    expected = np.mean(np.argmax(trained.network(adversarial), axis=1) == y)
    assert r_inf(trained, digits[2], attack, seed=3) == pytest.approx(expected)
    assert 0.1 < expected < 0.9


def test_r_2_is_the_mean_distance_of_what_is_correct():
    """On a linear model; 320 examples, of which 20 are misclassified."""
    network = model(5)
    data = split(network, 5)
    right = np.argmax(network(data.images), axis=1) == data.labels
    assert right.sum() == 300
    expected = np.where(right, distances(network, data.images, 2), 0).mean()
    found = r_2(network, data, ExactLinear(overshoot=1e-4))
    assert found == pytest.approx(1.0001 * expected, rel=1e-4)


def test_r_2_of_more_than_a_batch(trained, digits):
    """1,198 images, in three parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        found = r_2(trained, digits[0], Noise())
    assert 0.8 * 800 < found < 850  # the expected length of the noise, 100 sqrt(64), at most


def test_examples_without_adversarial_ones_are_warned_of(trained, digits):
    correct = np.sum(np.argmax(trained.network(digits[2].images), axis=1) == digits[2].labels)
    with pytest.warns(RunWarning, match=f"for {correct} of the 360 examples"):
        assert r_2(trained, digits[2], Nothing()) == 0


def test_seed_decides(trained, digits):
    attack = Noise()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        first, again, other = (r_2(trained, digits[2], attack, seed=s) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    "measure, attack, words",
    [
        (r_inf, FGSM(norm="l2"), "of kind Bounded in linf"),
        (r_inf, Nothing(), "of kind Bounded in linf"),
        (r_inf, FGSM(targeted=True), "an untargeted attack"),
        (r_2, PGD(), "of kind MinimumNorm in l2"),
    ],
)
def test_refuses_attacks(measure, attack, words, trained, digits):
    with pytest.raises(InputError, match=words):
        measure(trained, digits[2], attack)


@pytest.mark.parametrize("measure, attack", [(r_inf, FGSM()), (r_2, Nothing())])
def test_refuses_data(measure, attack, trained):
    with pytest.raises(InputError, match="data of type list"):
        measure(trained, [1], attack)
