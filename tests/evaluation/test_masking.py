"""Warnings: of models whose gradients are masked, and none of sound ones."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import evaluate, models
from robust_sparse_tf.attacks import (
    FGSM,
    PGD,
    RFGSM,
    SPSA,
    ZOO,
    Attack,
    Ball,
    Square,
    Transfer,
    noise,
)
from robust_sparse_tf.evaluation import inputs
from robust_sparse_tf.evaluation.judging import Judge
from robust_sparse_tf.evaluation.masking import find, in_outcomes
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.training import AdversarialModel, Mixed

EPSILON = 0.1


def trained(digits, attack=None, *, rate=2e-3, steps=400, clean_weight=0.5) -> AdversarialModel:
    keras.utils.set_random_seed(0)
    network = models.lenet_300_100((8, 8, 1))
    model = AdversarialModel(network, attack, Mixed(clean_weight=clean_weight))
    model.compile(keras.optimizers.Adam(rate), jit_update=False, steps_per_execution=50)
    model.fit(digits[0], epochs=1, steps_per_epoch=steps, verbose=0)
    return model


@pytest.fixture(scope="module")
def natural(digits) -> AdversarialModel:
    return trained(digits)


@pytest.fixture(scope="module")
def robust(digits) -> AdversarialModel:
    return trained(digits, PGD(epsilon=EPSILON, step_size=0.05, steps=4, random_start=True))


PGD_10 = PGD(step_size=0.02, steps=10)


def warnings_of(model, split, **attacks: Attack) -> str:
    attacks = {"pgd": PGD_10, **attacks}
    return "\n".join(evaluate(model, split, attacks, [0.05, EPSILON]).warnings)


def found_in(model, digits, sources=(), epsilon=EPSILON) -> str:
    logits, _ = inputs.connected(inputs.as_logits(model), digits[2].images)
    predictions = np.argmax(logits(tf.constant(digits[2].images)), axis=1)
    right = predictions == digits[2].labels
    images, labels = digits[2].images, digits[2].labels
    sources = [inputs.as_logits(source) for source in sources]
    checks = find(Judge(logits, 0), images, labels, right, Ball("linf", epsilon), sources)
    return "\n".join(line for check in checks for line in check.warnings)


@pytest.mark.parametrize(
    "name, attacks",
    [
        ("natural", "quick"),
        pytest.param("robust", {"pgd": PGD_10}, marks=pytest.mark.slow),
        pytest.param("natural", {"pgd": PGD_10}, marks=pytest.mark.slow),
        pytest.param("robust", "quick", marks=pytest.mark.slow),
    ],
)
def test_sound_models_raise_none(name, attacks, request, digits):
    model = request.getfixturevalue(name)
    report = evaluate(model, digits[2], attacks, [0.05, EPSILON])
    assert report.accuracy("clean") > 0.9
    assert report.warnings == []


def test_sound_models_raise_none_in_l2(natural, digits):
    report = evaluate(natural, digits[2], {"fgsm": FGSM(norm="l2")}, np.array([0.5, 1.0]))
    assert report.warnings == [] and 0 < report.accuracy("fgsm", 1.0) < report.accuracy("fgsm", 0.5)


@tf.custom_gradient
def broken(x: tf.Tensor):
    return tf.identity(x), lambda gradient: gradient * np.nan


# What hides gradients, and which signs must be seen.
MASKED = {
    "steep sigmoid": (
        lambda net: lambda x: 1e4 * net(tf.sigmoid(60 * (x - 0.5))),
        [
            "zero gradients",
            "Square with 200 queries",
            "the best with gradients",
            "unbounded attacks fail",
        ],
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


@pytest.mark.parametrize(
    "kind",
    # The steep sigmoid has all signs of the saturated model.
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "saturated")) for kind in MASKED],
)
def test_masked_models_are_told_of(kind, natural, digits):
    wrap, signs = MASKED[kind]
    network = natural.network
    square = {"square": Square(queries=50)} if "the best with gradients" in signs else {}
    found = warnings_of(wrap(lambda x: network(x, training=False)), digits[2], **square)
    for sign in signs:
        assert sign in found


@tf.custom_gradient
def reversed_(x: tf.Tensor):
    return tf.identity(x), lambda gradient: -gradient


def test_gradients_that_lead_to_the_label(natural, robust, digits):
    """They help an image that is wrong, and fail where another model's do not."""
    network = natural.network
    found = found_in(lambda x: network(reversed_(x), training=False), digits, [robust, natural])
    correct = np.mean(
        np.argmax(network(digits[2].images, training=False), axis=1) == digits[2].labels
    )
    assert f"label leaking: {100 * correct:.1f} % of 360 images are right, and " in found
    assert "transfer stronger than white box: PGD on source 2 leaves " in found


@pytest.mark.slow
def test_one_step_training_leaks_labels(digits):
    """In a ball so large that a step can write the label into the image."""
    model = trained(digits, FGSM(epsilon=0.5), rate=4e-3, steps=1500, clean_weight=0.0)
    assert "label leaking: " in found_in(model, digits, epsilon=0.5)


@pytest.mark.slow
def test_sound_model_against_others(natural, robust, digits):
    """A robust model stands what fools another."""
    assert found_in(robust, digits, [natural]) == ""


N = 200
RIGHT = np.arange(N) < 180


def outcome(attack: str, left: int, tried: int = 180, epsilon: float | None = 0.1) -> Outcome:
    """An attack that was run on the first examples, and left the first of them."""
    return Outcome(
        attack=attack,
        norm="linf",
        epsilon=epsilon,
        tried=np.arange(N) < tried,
        judged=(np.arange(N) < left)[:, None],
        distance=np.zeros(N, np.float32),
        queries=np.zeros(N, np.float32),
        seconds=np.zeros(N, np.float32),
    )


NAMED = {
    "fgsm": FGSM(),
    "rfgsm": RFGSM(),
    "one step": PGD(steps=1),
    "pgd": PGD(),
    "mim": PGD(),
    "square": Square(),
    "transfer": Transfer(attack=PGD(), sources=(tf.identity,)),
}

# Outcomes in their order, and what is said of them.
OUTCOMES = {
    "gradients are better": ([("pgd", 60), ("square", 80)], []),
    "as good": ([("pgd", 60), ("square", 55)], []),
    "scores are better": (
        [("pgd", 60), ("square", 40), ("mim", 70), ("transfer", 50)],
        ["square leaves 20.0 % at 0.1, pgd, the best with gradients, 30.0 %"],
    ),
    "a transfer is better": (
        [("transfer", 40), ("pgd", 60)],
        ["transfer leaves 20.0 % at 0.1, pgd, the best with gradients, 30.0 %"],
    ),
    "than single steps": ([("fgsm", 60), ("rfgsm", 60), ("one step", 60), ("square", 40)], []),
    "in another ball": ([("pgd", 60, 180, 0.2), ("square", 90, 180, 0.1)], []),
    "without a ball": ([("pgd", 60, 180, None), ("square", 40, 180, None)], []),
    "in turns": (
        [("pgd", 60), ("mim", 58, 60), ("square", 40, 58)],
        ["of 29.0 % left at 0.1 by pgd, mim, square leaves 20.0 %"],
    ),
    "in turns, a little": ([("pgd", 60), ("square", 52, 60)], []),
    "in turns, where nothing falls before": (
        [("pgd", 180), ("square", 160)],
        ["square leaves 80.0 % at 0.1, pgd, the best with gradients, 90.0 %"],
    ),
    "in turns, after a single step": ([("fgsm", 60), ("square", 40, 60)], []),
    "in turns, before gradients": ([("square", 60), ("pgd", 40, 60)], []),
}


def signs(outcomes) -> list[str]:
    checks = in_outcomes(outcomes, RIGHT, NAMED)
    assert [check.name for check in checks] == [
        "not monotone in epsilon",
        "black box stronger than white box",
    ]
    return [line for check in checks for line in check.warnings]


@pytest.mark.parametrize("name", OUTCOMES)
def test_black_boxes_in_outcomes(name):
    given, expected = OUTCOMES[name]
    found = signs([outcome(*values) for values in given])
    assert found == [f"black box stronger than white box: {line}" for line in expected]


def test_black_boxes_are_told_by_what_they_use():
    for attack in (Square, SPSA, ZOO, Transfer, *noise.Noise.__subclasses__()):
        assert not attack.uses_gradients
    assert PGD.uses_gradients


def test_rising_accuracy_is_told_of():
    """Only where more examples stand than chance makes."""
    assert signs([outcome("pgd", 150), outcome("pgd", 120, 180, 0.2)]) == []
    assert signs([outcome("pgd", 150), outcome("pgd", 155, 180, 0.2)]) == []
    rising = [outcome("pgd", 180, 180, 0.2), outcome("pgd", 140)]
    (line,) = signs(rising)
    assert line == "not monotone in epsilon: pgd leaves 70.0 % at 0.1 and 90.0 % at 0.2"


def test_noise_of_the_model_is_no_sign():
    """What is left by one attack is drawn again by the next, which alone fools some of it."""
    outcomes = [outcome("pgd", 60), outcome("square", 40, 60)]
    assert [check.status for check in in_outcomes(outcomes, RIGHT, NAMED)] == ["not run", "failed"]
    found = in_outcomes(outcomes, RIGHT, NAMED, noisy=True)
    assert [check.status for check in found] == ["not run", "passed"]


def plateau(x: tf.Tensor) -> tf.Tensor:
    """Logits whose margin falls with the sum of x, but never below .5, far from the data."""
    total = tf.reduce_sum(x, axis=1)
    margin = 1 - 0.5 * tf.minimum(total / 30, 1.0)
    return tf.stack([margin, tf.zeros_like(margin)], axis=1)


@pytest.mark.parametrize("masked", [False, True])
def test_a_plateau_far_away_is_no_sign(masked):
    """No attack of any size succeeds; a sign only if gradients do not work nearby, either."""
    forward = (lambda x: plateau(broken_off(x))) if masked else plateau
    x = np.random.default_rng(0).uniform(0, 0.2, size=(20, 40)).astype(np.float32)
    y, right = np.zeros(20, int), np.ones(20, bool)
    checks = {
        check.name: check for check in find(Judge(forward, 0), x, y, right, Ball("linf", 0.1))
    }
    check = checks["unbounded attacks fail"]
    assert check.status == ("failed" if masked else "passed")
    assert check.evidence[0].startswith("PGD with epsilon 1 leaves 100.0 %; with epsilon 0.1 PGD ")
    assert ("of 20 of these 20 images" in check.evidence[0]) != masked


@tf.custom_gradient
def broken_off(x: tf.Tensor):
    return tf.identity(x), tf.zeros_like
