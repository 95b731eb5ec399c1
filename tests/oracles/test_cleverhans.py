"""Adversarial examples are those of CleverHans' own FGSM and PGD."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks import projected_gradient_descent as cleverhans_pgd
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method

from robust_sparse_tf.attacks import FGSM, PGD

slow = pytest.mark.slow


def eager(function):
    return function


def oracle(attack, model, x, y):
    """CleverHans' adversarial examples for an attack of ours; y=None lets it predict the labels."""
    common = dict(norm=np.inf, clip_min=attack.low, clip_max=attack.high)
    common["y"] = y if attack.attack_labels == "true" else None
    if isinstance(attack, FGSM):
        return fast_gradient_method(model, x, attack.epsilon, **common)
    return cleverhans_pgd.projected_gradient_descent(
        model,
        x,
        attack.epsilon,
        attack.step_size,
        attack.steps,
        rand_init=attack.random_start,
        **common,
    )


ATTACKS = [
    (FGSM, dict(epsilon=0.3)),
    (FGSM, dict(epsilon=0.1, low=-0.5, high=0.9)),
    (PGD, dict(epsilon=0.3, step_size=0.05, steps=10)),
    (PGD, dict(epsilon=0.1, step_size=0.1, steps=3, low=-0.5, high=0.9)),
    (PGD, dict(epsilon=0.07, step_size=0.03, steps=1)),
]
WAYS = list(itertools.product(["sparse", "trained"], ["true", "predicted"], [eager, tf.function]))


def cases() -> list:
    """Of each attack, two opposite ways are fast; another two than of the attack before."""
    return [
        pytest.param(*attack, *way, marks=() if number % 4 in (place, 7 - place) else slow)
        for number, attack in enumerate(ATTACKS)
        for place, way in enumerate(WAYS)
    ]


@pytest.fixture
def logits(request, make_lenet, trained):
    """A sparse LeNet as it is drawn, whose gradients are small, and a trained one."""
    network = make_lenet(density=0.1) if request.param == "sparse" else trained.network
    return lambda x: network(x, training=False)


@pytest.mark.parametrize("maker, arguments, logits, labels, run", cases(), indirect=["logits"])
def test_equal_to_the_bit(maker, arguments, labels, run, logits, digits):
    attack = maker(attack_labels=labels, **arguments)
    x, y = digits[2].gather(tf.range(60, dtype=tf.int64))
    x = tf.minimum(x, attack.high)
    ours = run(lambda x, y: attack(logits, x, y))(x, y)
    theirs = run(lambda x, y: oracle(attack, logits, x, y))(x, y)
    np.testing.assert_array_equal(ours, theirs)
    assert np.any(ours != x)


@pytest.mark.parametrize(
    "logits, run",
    [
        ("sparse", eager),
        ("trained", tf.function),
        pytest.param("sparse", tf.function, marks=slow),
        pytest.param("trained", eager, marks=slow),
    ],
    indirect=["logits"],
)
def test_random_start(run, logits, batch, monkeypatch):
    """CleverHans draws its start from a generator of its own, which is given our noise."""
    attack = PGD(epsilon=0.3, step_size=0.05, steps=10, random_start=True)
    x, y = batch
    noise = attack.noise(x.shape, (7, 8))
    monkeypatch.setattr(cleverhans_pgd, "random_lp_vector", lambda *_, **__: noise)
    ours = run(lambda x, y: attack(logits, x, y, seed=(7, 8)))(x, y)
    theirs = run(lambda x, y: oracle(attack, logits, x, y))(x, y)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
