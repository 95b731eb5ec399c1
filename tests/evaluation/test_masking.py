"""Warnings: of models whose gradients are masked, and none of sound ones."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import evaluate, models
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.evaluation.masking import in_outcomes
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.training import AdversarialModel

EPSILON = 0.1


def trained(digits, attack=None) -> AdversarialModel:
    keras.utils.set_random_seed(0)
    model = AdversarialModel(models.lenet_300_100((8, 8, 1)), attack)
    model.compile(keras.optimizers.Adam(2e-3), jit_update=False, steps_per_execution=50)
    model.fit(digits[0], epochs=1, steps_per_epoch=400, verbose=0)
    return model


@pytest.fixture(scope="module")
def natural(digits) -> AdversarialModel:
    return trained(digits)


@pytest.fixture(scope="module")
def robust(digits) -> AdversarialModel:
    return trained(digits, PGD(epsilon=EPSILON, step_size=0.03, steps=7, random_start=True))


def warnings_of(model, digits) -> str:
    attacks = {"pgd": PGD(step_size=0.02, steps=10)}
    return "\n".join(evaluate(model, digits[2], attacks, [0.05, EPSILON]).warnings)


@pytest.mark.parametrize("name", ["natural", "robust"])
def test_sound_models_raise_none(name, request, digits):
    model = request.getfixturevalue(name)
    report = evaluate(model, digits[2], "quick", [EPSILON])
    assert report.accuracy("clean") > 0.9
    assert report.warnings == []
    assert warnings_of(model, digits) == ""


@tf.custom_gradient
def broken(x: tf.Tensor):
    return tf.identity(x), lambda gradient: gradient * np.nan


# What hides gradients, and which signs must be seen.
MASKED = {
    "steep sigmoid": (
        lambda net: lambda x: 1e4 * net(tf.sigmoid(60 * (x - 0.5))),
        ["zero gradients", "black box stronger", "unbounded attacks fail"],
    ),
    "quantised": (
        lambda net: lambda x: net(tf.round(8 * x) / 8),
        ["no gradient: the model has none", "zero gradients", "unbounded attacks fail"],
    ),
    "noisy": (
        lambda net: lambda x: net(x + tf.random.normal(tf.shape(x), stddev=0.2)),
        ["noise at inference"],
    ),
    "saturated": (
        lambda net: lambda x: 1e4 * net(x),
        ["zero gradients", "black box stronger", "unbounded attacks fail"],
    ),
    "not a number": (lambda net: lambda x: net(broken(x)), ["NaN or infinite gradients"]),
}


@pytest.mark.parametrize("kind", MASKED)
def test_masked_models_are_told_of(kind, natural, digits):
    wrap, signs = MASKED[kind]
    network = natural.network
    found = warnings_of(wrap(lambda x: network(x, training=False)), digits)
    for sign in signs:
        assert sign in found


def test_rising_accuracy_is_told_of():
    """Only where more examples stand than chance makes."""
    right = np.ones(200, bool)

    def outcome(epsilon: float, lost: int) -> Outcome:
        stands = np.arange(200) >= lost
        zeros = np.zeros(200, np.float32)
        return Outcome(
            attack="pgd",
            norm="linf",
            epsilon=epsilon,
            tried=right,
            judged=stands[:, None],
            distance=zeros,
            queries=zeros,
            seconds=zeros,
        )

    assert in_outcomes([outcome(0.1, 50), outcome(0.2, 80)], right) == []
    assert in_outcomes([outcome(0.1, 50), outcome(0.2, 45)], right) == []
    (line,) = in_outcomes([outcome(0.2, 20), outcome(0.1, 60)], right)
    assert line == "not monotone in epsilon: pgd leaves 70.0 % at 0.1 and 90.0 % at 0.2"
