"""Attacks whose epsilon is drawn for each batch."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy import stats

from robust_sparse_tf import AdversarialModel, models
from robust_sparse_tf.attacks import FGSM, MIM, PGD, RFGSM, RandomIntensity, Square, norms
from robust_sparse_tf.errors import InputError


def linear(x: tf.Tensor) -> tf.Tensor:
    """Two classes, told apart by every entry."""
    total = tf.reduce_sum(x - 0.5, axis=1)
    return tf.stack([total, -total], axis=1)


X = tf.fill([4, 6], 0.5)
Y = tf.constant([0, 1, 0, 1])


def test_radii_are_the_absolute_values_of_normal_numbers():
    attack = RandomIntensity(attack=FGSM(), epsilon=10.0)
    radii = [float(attack.drawn((3, number)).epsilon) for number in range(400)]
    assert stats.kstest(radii, stats.halfnorm(scale=0.25).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "inner",
    [FGSM(), RFGSM(), PGD(), MIM(), PGD(norm="l2"), PGD(restarts=2, random_start=True)],
    ids=["fgsm", "rfgsm", "pgd", "mim", "l2", "restarts"],
)
def test_goes_as_far_as_the_radius_of_the_seed(inner):
    attack = RandomIntensity(attack=inner)
    traced = tf.function(lambda seed: attack(linear, X, Y, seed=seed), autograph=False)
    for number in range(4):
        moved = norms.distance(traced(tf.constant([0, number], tf.int64)) - X, attack.norm)
        radius = attack.drawn((0, number)).epsilon
        np.testing.assert_allclose(moved, np.full(4, min(radius, 0.5)), rtol=1e-5)


def test_steps_keep_their_share_of_epsilon():
    drawn = RandomIntensity(attack=PGD(epsilon=0.4, step_size=0.1)).drawn((0, 1))
    assert float(drawn.step_size / drawn.epsilon) == pytest.approx(0.25)


def test_takes_any_distribution_and_cuts_it_at_epsilon():
    def two(seed):
        return tf.where(seed[1] % 2 == 0, 0.2, 7.0)

    attack = RandomIntensity(attack=FGSM(), distribution=two, epsilon=0.4)
    found = [float(attack.drawn((0, number)).epsilon) for number in (0, 1)]
    assert found == pytest.approx([0.2, 0.4])


def test_the_threat_model_is_that_of_the_attack():
    inner = PGD(norm="l2", low=-1.0, high=2.0, attack_labels="predicted", targeted=True)
    attack = RandomIntensity(attack=inner)
    assert (attack.norm, attack.low, attack.high) == ("l2", -1.0, 2.0)
    assert attack.attack_labels == "predicted" and attack.targeted


@pytest.mark.parametrize("inner", [Square(), PGD(epsilon=0.0, step_size=1e-9)])
def test_refuses_attacks_that_cannot_be_scaled(inner):
    with pytest.raises(InputError, match="must follow the gradient"):
        RandomIntensity(attack=inner)


def test_each_training_step_has_its_own_radius_whatever_the_branches():
    x = np.random.default_rng(0).uniform(size=(40, 8, 8, 1)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((x, np.arange(40) % 10)).batch(20, True)
    seen = []

    def radius(seed):
        drawn = tf.random.stateless_uniform([], seed, maxval=0.5)
        tf.py_function(lambda value: seen.append(float(value)), [drawn], [])
        return drawn

    attack = RandomIntensity(attack=FGSM(), distribution=radius)
    keras.utils.set_random_seed(0)
    model = AdversarialModel(models.mlp((8, 8, 1), hidden=(8,)), attack, branches=2)
    model.compile("sgd")
    model.fit(batches, epochs=2, verbose=0)
    assert len(seen) == len(set(seen)) == 4
