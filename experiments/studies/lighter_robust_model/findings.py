"""What held of "Towards lighter adversarially robust model": sentences made of the numbers."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

from experiments.studies.cells import how
from experiments.studies.lighter_robust_model.numbers import Features, Pruned, Scale, Ticket

_ROBUST = 50.0  # percent; a network that stands its attack more often than not
_ILLUSION = 30.0  # points by which an accuracy under FGSM is above that under PGD
_NEAR = 1.0  # points that a pruned network may lose


def capacity(scales: Sequence[Scale]) -> list[str]:
    """From which scale networks are robust, ours and the published, and whether PGD agrees."""
    lines = []
    for trained in dict.fromkeys(entry.trained for entry in scales):
        every = [entry for entry in scales if entry.trained == trained]
        means = {e.scale: mean for e in every if (mean := e.accuracies[trained].mean) is not None}
        if not means:
            continue
        known = {e.scale: own["mean"] for e in every if (own := e.accuracies[trained].published)}
        theirs = f" (published: {_least(known)})" if known else ""
        name = trained.upper()
        ran = ", ".join(map(str, means))
        lines.append(
            f"Trained with {name}, the least scale from which networks stand {name} on most images "
            f"is {_least(means)}{theirs}, of scales {ran}."
        )
        far = [
            f"scale {e.scale} ({fgsm:.2f} and {pgd:.2f} %)"
            for e in every
            if e.scale in means
            if (fgsm := e.accuracies["fgsm"].mean) is not None
            if (pgd := e.accuracies["pgd"].mean) is not None
            if fgsm - pgd >= _ILLUSION
        ]
        if far:
            lines.append(
                f"Trained with {name}, FGSM leaves at least {_ILLUSION:.0f} points more than PGD "
                f"at {', '.join(far)}: what stands FGSM there is not robust."
            )
    return lines


def _least(accuracies: Mapping[int, float]) -> str:
    """The least scale from which all are robust; "none" where the largest is not."""
    found = "none"
    for scale, value in sorted(accuracies.items(), reverse=True):
        if value <= _ROBUST:
            break
        found = str(scale)
    return found


def features(found: Sequence[Features]) -> list[str]:
    """How many of the useful features are robustly useful, by way of training."""
    lines = []
    for entry in found:
        if use := entry.usefulness:
            useful = sum(value > 0 for value in use["weighted"])
            both = sum(
                clean > 0 and robust > 0
                for clean, robust in zip(use["weighted"], use["weighted_robust"], strict=True)
            )
            lines.append(
                f"Trained {how(entry.trained)}, {both} of {useful} useful features are "
                "robustly useful."
            )
    return lines


def pruning(found: Sequence[Pruned]) -> list[str]:
    """With how few features networks keep their accuracies, by training and measure."""
    lines = []
    for trained, measure in dict.fromkeys((e.trained, e.measure) for e in found):
        own = [e for e in found if (e.trained, e.measure) == (trained, measure)]
        words = []
        for attack in dict.fromkeys(("none", trained)):
            whole = own[0].accuracies[attack]
            if whole is None or len(own) < 2:
                continue
            under = "clean" if attack == "none" else f"under {attack.upper()}"
            words.append(f"{_fewest(own, attack, whole - _NEAR)} ({under})")
        if words:
            lines.append(
                f"Trained {how(trained)} and pruned by {measure.replace('_', ' ')}, accuracy is "
                f"within {_NEAR:g} point of that of all {own[0].features} features down to "
                f"{' and '.join(words)}."
            )
    return lines


def _fewest(rounds: Sequence[Pruned], attack: str, least: float) -> int:
    """The features left before the first round with less than the least accuracy."""
    kept = itertools.takewhile(lambda entry: (entry.accuracies[attack] or 0) >= least, rounds)
    return [entry.features for entry in kept][-1]


def tickets(found: Sequence[Ticket]) -> list[str]:
    """Whether the original initialisation is better than another one, by training and attack."""
    lines = []
    for trained in dict.fromkeys(entry.trained for entry in found):
        own = {(e.strategy, e.round): e for e in found if e.trained == trained and e.round}
        for attack in dict.fromkeys(("none", trained)):
            gains = [
                original - drawn
                for (strategy, number), entry in own.items()
                if strategy == "original" and ("random", number) in own
                if (original := entry.accuracies[attack]) is not None
                if (drawn := own["random", number].accuracies[attack]) is not None
            ]
            if gains:
                under = "clean" if attack == "none" else f"under {attack.upper()}"
                lines.append(
                    f"Trained {how(trained)}, the original initialisation is better than another "
                    f"one ({under}) in {sum(gain > 0 for gain in gains)} of {len(gains)} pruned "
                    f"rounds, by {statistics.fmean(gains):+.2f} points in the mean."
                )
    return lines
