"""Ensembles of attacks; each attack runs on the images that the previous ones failed to fool."""

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

from robust_sparse_tf.attacks import APGD, FAB, FGSM, PGD, Attack, Ball, Square
from robust_sparse_tf.errors import InputError

NAMES = ("quick", "standard", "rand")


def make(name: str, ball: Ball, classes: int) -> dict[str, Attack]:
    """The attacks of an ensemble by name, in order.

    `standard` is AutoAttack's standard set, `rand` its set for models with noise at inference,
    "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free
    Attacks" (Croce and Hein, 2020), section 6. `quick` takes seconds, to see whether stronger
    attacks are worth running. Losses that need more classes are replaced, see `notes`.

    Args:
        name: "quick", "standard" or "rand".
        ball: the threat model, in linf, l2 or, except for `quick`, l1.
        classes: number of logits.

    Raises:
        InputError: for another name, or a norm that its attacks do not support.
    """
    if name not in NAMES:
        raise InputError(f"attacks={name}: must be one of {', '.join(NAMES)}")
    members = {"quick": _quick, "standard": _standard, "rand": _rand}[name]
    return dict(members(ball, classes))


def notes(name: str, classes: int) -> list[str]:
    """A note on the losses that an ensemble replaces because there are too few classes."""
    if name == "quick" or classes >= 4:
        return []
    loss = "targeted DLR needs 4" if classes == 3 else "DLR needs 3 and targeted DLR 4"
    return [f"{name} with {classes} classes: {loss}; cross-entropy was used instead"]


Named: TypeAlias = Iterator[tuple[str, Attack]]


def _quick(ball: Ball, classes: int) -> Named:
    del classes
    same = dataclasses.asdict(ball)
    pgd = dict(random_start=True, stop_when_fooled=True, **same)
    yield "fgsm", FGSM(**same)
    yield "pgd_10", PGD(steps=10, **pgd)
    # At epsilon 0 no step size is given.
    yield "pgd_40", PGD(steps=40, step_size=0.1 * ball.epsilon or None, restarts=5, **pgd)


def _standard(ball: Ball, classes: int) -> Named:
    same = dataclasses.asdict(ball)
    yield "apgd_ce", APGD(loss="ce", restarts=1 if classes >= 4 else 5, **same)
    if classes == 3:
        yield "apgd_dlr", APGD(loss="dlr", **same)
    others = min(9, classes - 1)
    if classes >= 4:
        yield "apgd_t", APGD(loss="targeted_dlr", target_classes=others, **same)
    yield "fab_t", FAB(target_classes=others, stop_within=ball.epsilon, **same)
    if ball.norm != "l1":
        yield "square", Square(queries=5000, **same)


def _rand(ball: Ball, classes: int) -> Named:
    same = dataclasses.asdict(ball)
    yield "apgd_ce", APGD(loss="ce", draws=20, **same)
    if classes >= 3:
        yield "apgd_dlr", APGD(loss="dlr", draws=20, **same)
