"""Attacks that take turns on what the ones before them have left."""

from collections.abc import Iterator

from robust_sparse_tf.attacks import APGD, FAB, FGSM, PGD, Attack, Square
from robust_sparse_tf.errors import InputError

NAMES = ("quick", "standard", "rand")


def make(
    name: str, norm: str, epsilon: float, classes: int, clip_min: float, clip_max: float
) -> dict[str, Attack]:
    """The attacks of an ensemble by name, in their order.

    `standard` is AutoAttack's standard set, `rand` its set for models with noise at inference,
    "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free
    Attacks" (Croce and Hein, 2020), section 6. `quick` tells in seconds whether more is worth
    while. What few classes leave undefined is left out, see `notes`.

    Args:
        name: "quick", "standard" or "rand".
        norm: "linf", "l2" or, but for `quick`, "l1".
        epsilon: radius of the ball, in input units.
        classes: how many logits there are.
        clip_min: least value of an input.
        clip_max: largest value of an input.

    Raises:
        InputError: for another name, or a norm that its attacks do not know.
    """
    if name not in NAMES:
        raise InputError(f"attacks={name}: must be one of {', '.join(NAMES)}")
    common = dict(norm=norm, clip_min=clip_min, clip_max=clip_max)
    members = {"quick": _quick, "standard": _standard, "rand": _rand}[name]
    return dict(members(common, epsilon, classes))


def notes(name: str, classes: int) -> list[str]:
    """What an ensemble leaves out for want of classes."""
    if name == "quick" or classes >= 4:
        return []
    loss = "targeted DLR needs 4" if classes == 3 else "DLR needs 3 and targeted DLR 4"
    return [f"{name} with {classes} classes: {loss}; cross-entropy took their place"]


Named = Iterator[tuple[str, Attack]]


def _quick(common: dict, epsilon: float, classes: int) -> Named:
    del classes
    pgd = dict(random_start=True, stop_when_fooled=True, epsilon=1.0, **common)
    yield "fgsm", FGSM(epsilon=epsilon, **common)
    yield "pgd_10", PGD(steps=10, step_size=0.25, **pgd).at(epsilon)
    yield "pgd_40", PGD(steps=40, step_size=0.1, restarts=5, **pgd).at(epsilon)


def _standard(common: dict, epsilon: float, classes: int) -> Named:
    ball = common | {"epsilon": epsilon}
    yield "apgd_ce", APGD(loss="ce", restarts=1 if classes >= 4 else 5, **ball)
    if classes == 3:
        yield "apgd_dlr", APGD(loss="dlr", **ball)
    others = min(9, classes - 1)
    if classes >= 4:
        yield "apgd_t", APGD(loss="targeted_dlr", target_classes=others, **ball)
    fab = FAB(target_classes=others, epsilon=epsilon, stop_within=epsilon, **common)
    yield "fab_t", fab
    if common["norm"] != "l1":
        yield "square", Square(queries=5000, **ball)


def _rand(common: dict, epsilon: float, classes: int) -> Named:
    ball = common | {"epsilon": epsilon, "draws": 20}
    yield "apgd_ce", APGD(loss="ce", **ball)
    if classes >= 3:
        yield "apgd_dlr", APGD(loss="dlr", **ball)
