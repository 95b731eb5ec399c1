"""What held of "Towards lighter adversarially robust model": sentences made of the numbers."""

import itertools
import statistics
from typing import Any

from experiments.studies.cells import how

_ROBUST = 50.0  # percent; a network that stands its attack more often than not
_ILLUSION = 30.0  # points by which an accuracy under FGSM is above that under PGD
_NEAR = 1.0  # points that a pruned network may lose

Entries = list[dict[str, Any]]


def capacity(scales: Entries) -> list[str]:
    """From which scale networks are robust, ours and the published, and whether PGD agrees."""
    lines = []
    for trained in dict.fromkeys(entry["trained"] for entry in scales):
        own = [e for e in scales if e["trained"] == trained and e[trained]["trials"]]
        if not own:
            continue
        every = [entry for entry in scales if entry["trained"] == trained]
        ours = _least([(e["scale"], e[trained]["mean"]) for e in own])
        theirs = _least(
            [
                (e["scale"], e[trained]["published"]["mean"])
                for e in every
                if e[trained]["published"]
            ]
        )
        name = trained.upper()
        ran = ", ".join(str(entry["scale"]) for entry in own)
        lines.append(
            f"Trained with {name}, the least scale from which networks stand {name} on most images "
            f"is {ours} (published: {theirs}), of scales {ran}."
        )
        far = [
            f"scale {e['scale']} ({e['fgsm']['mean']:.2f} and {e['pgd']['mean']:.2f} %)"
            for e in own
            if e["fgsm"]["trials"] and e["pgd"]["trials"]
            if e["fgsm"]["mean"] - e["pgd"]["mean"] >= _ILLUSION
        ]
        if far:
            lines.append(
                f"Trained with {name}, FGSM leaves at least {_ILLUSION:.0f} points more than PGD "
                f"at {', '.join(far)}: what stands FGSM there is not robust."
            )
    return lines


def _least(points: list[tuple[int, float]]) -> str:
    """The least scale from which all are robust; "none" where the largest is not."""
    found = "none"
    for scale, value in sorted(points, reverse=True):
        if value <= _ROBUST:
            break
        found = str(scale)
    return found


def features(found: Entries) -> list[str]:
    """How many of the useful features are robustly useful, by way of training."""
    lines = []
    for entry in found:
        if use := entry["usefulness"]:
            useful = sum(value > 0 for value in use["weighted"])
            both = sum(
                clean > 0 and robust > 0
                for clean, robust in zip(use["weighted"], use["weighted_robust"], strict=True)
            )
            lines.append(
                f"Trained {how(entry['trained'])}, {both} of {useful} useful features are "
                "robustly useful."
            )
    return lines


def pruning(found: Entries) -> list[str]:
    """With how few features networks keep their accuracies, by training and measure."""
    lines = []
    for trained, measure in dict.fromkeys((e["trained"], e["measure"]) for e in found):
        own = [e for e in found if (e["trained"], e["measure"]) == (trained, measure)]
        words = []
        for attack in dict.fromkeys(("none", trained)):
            whole = own[0][attack]
            if whole is None or len(own) < 2:
                continue
            under = "clean" if attack == "none" else f"under {attack.upper()}"
            words.append(f"{_fewest(own, attack, whole - _NEAR)} ({under})")
        if words:
            lines.append(
                f"Trained {how(trained)} and pruned by {measure.replace('_', ' ')}, accuracy is "
                f"within {_NEAR:g} point of that of all {own[0]['features']} features down to "
                f"{' and '.join(words)}."
            )
    return lines


def _fewest(rounds: Entries, attack: str, least: float) -> int:
    """The features left before the first round with less than the least accuracy."""
    kept = itertools.takewhile(lambda entry: (entry[attack] or 0) >= least, rounds)
    return [entry["features"] for entry in kept][-1]


def tickets(found: Entries) -> list[str]:
    """Whether the original initialisation is better than another one, by training and attack."""
    lines = []
    for trained in dict.fromkeys(entry["trained"] for entry in found):
        own = {
            (e["strategy"], e["round"]): e for e in found if e["trained"] == trained and e["round"]
        }
        for attack in dict.fromkeys(("none", trained)):
            gains = [
                entry[attack] - own["random", number][attack]
                for (strategy, number), entry in own.items()
                if strategy == "original" and ("random", number) in own
                if entry[attack] is not None and own["random", number][attack] is not None
            ]
            if gains:
                under = "clean" if attack == "none" else f"under {attack.upper()}"
                lines.append(
                    f"Trained {how(trained)}, the original initialisation is better than another "
                    f"one ({under}) in {sum(gain > 0 for gain in gains)} of {len(gains)} pruned "
                    f"rounds, by {statistics.fmean(gains):+.2f} points in the mean."
                )
    return lines
