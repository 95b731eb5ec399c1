"""Checks of the attacks of an evaluation: their reach, their labels, and the images they attack."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf import data, evaluate
from robust_sparse_tf.attacks import APGD, FAB, FGSM, MIM, PGD, Attack, Square, Transfer
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.attack_checks import (
    left_out,
    of_own_labels,
    of_reach,
    of_training_images,
)
from robust_sparse_tf.evaluation.report import Outcome

N = 40


def moved(attack: str, distance: float, robust: int = 30, epsilon: float | None = 0.3) -> Outcome:
    """An attack on all examples, which moved those that stay robust by a distance."""
    judged = np.arange(N) < robust
    return Outcome(
        attack=attack,
        norm="linf",
        epsilon=epsilon,
        tried=np.ones(N, bool),
        judged=judged[:, None],
        distance=np.where(judged, distance, 0.3).astype(np.float32),
        queries=np.zeros(N, np.float32),
        seconds=np.zeros(N, np.float32),
    )


SHORT = dict(epsilon=0.3, steps=7, step_size=2 / 255)
# An attack, how far it moved images that stay robust, how many these are, and what is said of it.
REACHES = {
    "too short": (PGD(**SHORT), 0.0549, 30, "its 7 steps of 0.007843 are 0.0549 long together"),
    "too short, none left": (PGD(**SHORT), 0, 0, "are 0.0549 long together, at epsilon 0.3"),
    "momentum": (MIM(**SHORT), 0.0549, 30, "are 0.0549 long together"),
    "of another model": (
        Transfer(attack=PGD(**SHORT), sources=(tf.identity,)),
        0.0549,
        30,
        "are 0.0549 long together",
    ),
    "random start": (PGD(**SHORT, random_start=True), 0.3, 30, ""),
    "just long enough": (PGD(epsilon=0.3, steps=3, step_size=0.1), 0.3, 30, ""),
    "default step": (PGD(epsilon=0.3), 0.3, 30, ""),
    "hardly moves": (PGD(epsilon=0.3), 0.14, 30, "median image that stays robust by 0.14 (linf)"),
    "moves a little": (PGD(epsilon=0.3), 0.16, 30, ""),
    "hardly moves few": (PGD(epsilon=0.3), 0.14, 5, None),
    "one step": (FGSM(epsilon=0.3), 0, 30, "median image that stays robust by 0 (linf)"),
    "its own steps": (APGD(epsilon=0.3), 0.1, 30, "by 0.1 (linf), at epsilon 0.3"),
    "by scores": (Square(epsilon=0.3), 0.1, 30, None),
    "smallest distance": (FAB(), 0.0, 30, None),
}


@pytest.mark.parametrize("case", REACHES)
def test_reach(case):
    """None: not run, as there is nothing to be measured."""
    attack, distance, robust, sign = REACHES[case]
    check = of_reach([(0.3, {"a": attack})], [moved("a", distance, robust)])
    assert check.status == ("not run" if sign is None else "failed" if sign else "passed")
    if sign:
        assert sign in check.warnings[0] and check.warnings[0].startswith("reach: a ")


def test_reach_is_of_each_epsilon():
    turns = [(radius, {"pgd": PGD(**SHORT).at(radius)}) for radius in (0.1, 0.3)]
    outcomes = [moved("pgd", 0.0549, epsilon=radius) for radius in (0.1, 0.3)]
    check = of_reach(turns, outcomes)
    assert len(check.warnings) == 2 and check.status == "failed"
    assert of_reach([(0.0, {"pgd": PGD(epsilon=0)})], [moved("pgd", 0, epsilon=0.0)]).status == (
        "not run"
    )


def linear(x: tf.Tensor) -> tf.Tensor:
    """Right of all images, whatever an attack within 0.3 does to them."""
    total = tf.reduce_sum(x, axis=1)
    return tf.stack([total, 6 - total], axis=1)


X = np.random.default_rng(0).uniform(0.9, 1, size=(20, 10)).astype(np.float32)


@pytest.mark.parametrize("attack, told", [(PGD(**SHORT), True), (PGD(epsilon=0.3), False)])
def test_reach_of_an_evaluation(attack, told):
    report = evaluate(linear, (X, np.zeros(20, int)), {"pgd": attack}, verbose=False)
    found = [line for line in report.warnings if line.startswith("reach: ")]
    assert len(found) == told
    (check,) = [check for check in report.checks if check.name == "reach"]
    assert check.meaning.startswith("The attack does not reach its ball") and check.advice


def test_own_labels():
    attacks: dict[str, Attack] = {"pgd": PGD(), "fgsm": FGSM()}
    assert of_own_labels(attacks).status == "passed"
    attacks["fgsm"] = dataclasses.replace(attacks["fgsm"], attack_labels="predicted")
    (line,) = of_own_labels(attacks).warnings
    assert line == "own labels: fgsm moved away from the predictions (attack_labels)"


def test_training_images_are_known_again():
    """In any form of the data, above a share that duplicates may have."""
    pixels = np.random.default_rng(0).integers(256, size=(200, 4, 4, 1)).astype(np.uint8)
    images, labels = (pixels / np.float32(255)).astype(np.float32), np.zeros(200, int)
    others = (images + np.float32(0.001)).clip(0, 1)
    mixed = np.concatenate([images[:5], others[5:]])
    as_split = data.Split(pixels, labels, num_classes=2, batch_size=10)
    for training in (as_split, (images, labels)):
        for attacked, number in ((images, 200), (mixed, 5), (others, 0)):
            check = of_training_images(attacked, training, (0, 1))
            assert check.evidence == (f"{number} of 200 images are training images",)
            assert check.status == ("failed" if number > 4 else "passed")
    assert of_training_images(images, None, (0, 1)).status == "not run"


def test_training_images_of_an_evaluation():
    given = linear, (X, np.zeros(20, int)), {"fgsm": FGSM(epsilon=0.1)}
    report = evaluate(*given, training=(X, np.zeros(20, int)), check_masking=False, verbose=False)
    assert report.warnings == ["test images in training: 20 of 20 images are training images"]
    with pytest.raises(InputError, match="training: data of type list"):
        evaluate(*given, training=[1], check_masking=False, verbose=False)


def test_left_out():
    assert [(check.status, check.evidence) for check in left_out("why")] == [
        ("not run", ("why",))
    ] * 3
