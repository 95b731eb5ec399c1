"""PGD on the divergence of predictions, the attack of TRADES."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import PGD, RandomIntensity
from robust_sparse_tf.attacks.losses import kl_divergence
from robust_sparse_tf.errors import InputError

RNG = np.random.default_rng(2)
IMAGES = RNG.uniform(0.2, 0.8, size=(6, 5)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])
KERNEL = tf.constant(RNG.normal(size=(5, 3)) * 2, tf.float32)


def model(x):
    return tf.matmul(x, KERNEL)


def test_divergence():
    logits, other = (RNG.normal(size=(4, 3)).astype("float32") * 3 for _ in range(2))
    p, q = (np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in (logits, other))
    found = kl_divergence(tf.constant(logits), tf.constant(other))
    np.testing.assert_allclose(found, (p * np.log(p / q)).sum(1), rtol=1e-4)
    oracle = keras.losses.KLDivergence(reduction="none")(p, q)
    np.testing.assert_allclose(found, oracle, rtol=1e-4)


def start(seed):
    noise = tf.random.stateless_normal(IMAGES.shape, seed, stddev=0.001, alg="philox")
    return IMAGES + noise.numpy()


def reference(seed, epsilon=0.1, size=0.04, steps=3):
    """TRADES' attack in the l-infinity norm, written out."""
    clean = tf.stop_gradient(model(tf.constant(IMAGES)))
    found = np.clip(start(seed), 0, 1)
    for _ in range(steps):
        x = tf.constant(found, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(kl_divergence(clean, model(x)))
        found = found + size * np.sign(tape.gradient(loss, x))
        found = np.clip(np.clip(found, IMAGES - epsilon, IMAGES + epsilon), 0, 1)
    return found


@pytest.mark.parametrize("seed", [(0, 0), (3, 7)])
def test_steps(seed):
    attack = PGD(epsilon=0.1, step_size=0.04, steps=3, loss="kl")
    found = attack(model, IMAGES, LABELS, seed=seed)
    np.testing.assert_allclose(found, reference(seed), atol=1e-6)


def test_labels_do_not_count():
    attack = PGD(epsilon=0.1, loss="kl")
    np.testing.assert_array_equal(
        attack(model, IMAGES, LABELS), attack(model, IMAGES, (LABELS + 1) % 3)
    )


def test_it_diverges_more_than_random_noise():
    attack = PGD(epsilon=0.1, steps=10, loss="kl")
    found = attack(model, IMAGES, LABELS)
    noise = IMAGES + 0.1 * np.sign(RNG.normal(size=IMAGES.shape)).astype("float32")
    clean = model(IMAGES)
    near, far = (np.mean(kl_divergence(clean, model(each))) for each in (noise, found))
    assert far > 1.5 * near


def test_random_start_replaces_the_near_one():
    attack = PGD(epsilon=0.1, random_start=True, loss="kl")
    shape = tf.constant(IMAGES.shape)
    noise = attack.noise(shape, (0, 0))
    assert 0.05 < np.abs(noise).max() <= 0.1
    near = PGD(epsilon=0.1, loss="kl").noise(shape, (0, 0))
    assert 0 < np.abs(near).max() < 0.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_threat_model(norm):
    for attack in (
        PGD(epsilon=0.1, norm=norm, loss="kl"),
        RandomIntensity(attack=PGD(epsilon=0.1, norm=norm, loss="kl"), std=0.1),
    ):
        found = attack(model, IMAGES, LABELS)
        order = {"linf": np.inf, "l2": 2}[norm]
        limit = 0.1 if isinstance(attack, PGD) else 1.0
        assert np.linalg.norm(found - IMAGES, order, axis=1).max() <= limit + 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(loss="hinge"), "loss=hinge: must be one of ce, kl"),
        (dict(loss="kl", targeted=True), "targeted=True: must be False with loss=kl"),
        (dict(loss="kl", stop_when_fooled=True), "stop_when_fooled=True: must be False with loss"),
    ],
)
def test_refused(options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        PGD(**options)
