"""Findings on "Towards lighter adversarially robust model": sentences from the numbers."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

from experiments.evaluations.stored import Usefulness
from experiments.studies.cells import how
from experiments.studies.lighter_robust_model.numbers import Features, Pruned, Scale, Ticket

_ROBUST = 50.0  # percent; a network that is robust on most images
_ILLUSION = 30.0  # points between the accuracies under FGSM and PGD
_ROUND = 0.69  # of the weights kept per round of tickets (0.7), and the paper's rounding
_NEAR = 1.0  # points of accuracy that a pruned network may lose


def capacity(scales: Sequence[Scale]) -> list[str]:
    """The scale from which networks are robust, ours and published, and whether PGD agrees."""
    lines = []
    for trained in dict.fromkeys(entry.trained for entry in scales):
        every = [entry for entry in scales if entry.trained == trained]
        means = {e.scale: mean for e in every if (mean := e.accuracies[trained].mean) is not None}
        if not means:
            continue
        known = {e.scale: own["mean"] for e in every if (own := e.accuracies[trained].published)}
        theirs = f" (published: {least_scale(known)})" if known else ""
        name = trained.upper()
        ran = ", ".join(map(str, means))
        lines.append(
            f"Trained with {name}, the minimum scale from which networks are robust to {name} on "
            f"most images is {least_scale(means)}{theirs}, of scales {ran}."
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
                f"at {', '.join(far)}: robustness to FGSM is illusory there."
            )
    return lines


def least_scale(accuracies: Mapping[int, float]) -> str:
    """The minimum scale from which all are robust; "none" if the largest is not."""
    found = "none"
    for scale, value in sorted(accuracies.items(), reverse=True):
        if value <= _ROBUST:
            break
        found = str(scale)
    return found


def features(found: Sequence[Features], published: tuple[int, int] | None = None) -> list[str]:
    """How many of the useful features are robustly useful, per training.

    Args:
        found: one per training.
        published: (robust features, all features) of natural training.
    """
    lines = []
    for entry in found:
        if use := entry.usefulness:
            both, useful = robust_features(use)
            theirs = ""
            if published and entry.trained == "none":
                verdict = "held" if both == published[0] else "not held"
                theirs = f" (published: {published[0]} of {published[1]} features): {verdict}"
            lines.append(
                f"Trained {how(entry.trained)}, {both} of {useful} useful features are "
                f"robustly useful{theirs}."
            )
    return lines


def robust_features(use: Usefulness) -> tuple[int, int]:
    """The numbers of robustly useful features and of useful features."""
    pairs = zip(use["weighted"], use["weighted_robust"], strict=True)
    robust = [both > 0 for clean, both in pairs if clean > 0]
    return sum(robust), len(robust)


def pruning(found: Sequence[Pruned]) -> list[str]:
    """How few features suffice to keep accuracies, per training and measure."""
    lines = []
    for own in _ways(found):
        trained, measure = own[0].trained, own[0].measure
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


def _ways(found: Sequence[Pruned]) -> list[list[Pruned]]:
    """The rounds of each pruned network, without controls."""
    ways: dict[tuple[str, str, float], list[Pruned]] = {}
    for entry in found:
        if entry.share:
            ways.setdefault((entry.trained, entry.measure, entry.share), []).append(entry)
    return list(ways.values())


def controls(found: Sequence[Pruned]) -> list[str]:
    """Compares the last pruned networks with controls that were trained equally long."""
    whole = {(e.trained, e.round): e for e in found if not e.share}
    if found and not whole:
        return [
            "The cost of pruning features, compared with networks trained equally long: not tested."
        ]
    lines = []
    for own in _ways(found):
        last = own[-1]
        name = f"Trained {how(last.trained)} and pruned by {last.measure.replace('_', ' ')}"
        control = whole.get((last.trained, last.round))
        if control is None:
            continue
        for attack in dict.fromkeys(("none", last.trained)):
            pruned, kept = last.accuracies[attack], control.accuracies[attack]
            if pruned is not None and kept is not None:
                under = "clean" if attack == "none" else f"under {attack.upper()}"
                held = "held" if pruned >= kept - _NEAR else "not held"
                lines.append(
                    f"{name}, accuracy with {last.features} features left is {pruned:.2f} % "
                    f"({under}), and with all {control.features}, trained equally long, {kept:.2f} "
                    "%: "
                    f"pruning costs at most {_NEAR:g} point: {held}."
                )
    return lines


def _fewest(rounds: Sequence[Pruned], attack: str, least: float) -> int:
    """The number of features left before accuracy first falls below a minimum."""
    kept = itertools.takewhile(lambda entry: (entry.accuracies[attack] or 0) >= least, rounds)
    return [entry.features for entry in kept][-1]


def tickets(found: Sequence[Ticket]) -> list[str]:
    """Whether the original initialisation is better than a new one, per training and attack."""
    lines = []
    for trained in dict.fromkeys(entry.trained for entry in found):
        own = [entry for entry in found if entry.trained == trained]
        for attack in dict.fromkeys(("none", trained)):
            if gains := gains_of_original(own, attack):
                under = "clean" if attack == "none" else f"under {attack.upper()}"
                lines.append(
                    f"Trained {how(trained)}, the original initialisation is better than another "
                    f"one ({under}) in {sum(gain > 0 for gain in gains)} of {len(gains)} pruned "
                    f"rounds, by {statistics.fmean(gains):+.2f} points on average."
                )
    return lines


def gains_of_original(found: Sequence[Ticket], attack: str) -> list[float]:
    """The gain in points of the original initialisation, per pruned round.

    Args:
        found: rounds of tickets of one training.
        attack: "none" for clean images.
    """
    own = {(e.strategy, e.round): e.accuracies[attack] for e in found if e.round}
    return [
        original - drawn
        for (strategy, number), original in own.items()
        if strategy == "original" and original is not None
        if (drawn := own.get(("random", number))) is not None
    ]


def breakpoints(found: Sequence[Ticket], published: Mapping[tuple[str, str], float]) -> list[str]:
    """Down to which fraction of weights clean accuracy holds, beside the paper's.

    Args:
        found: rounds of tickets in order, the dense network first.
        published: see `Published.holds_down_to`.
    """
    return [
        f"Trained {how(last.trained)}, {last.strategy} initialisations keep clean accuracy within "
        f"{_NEAR:g} point of the dense network's down to {last.weights:.2f} % of the weights "
        f"(published: down to about {theirs:g} %): {verdict}."
        for last, theirs, verdict in broken(found, published)
    ]


def broken(
    found: Sequence[Ticket], published: Mapping[tuple[str, str], float]
) -> list[tuple[Ticket, float, str]]:
    """The last round before clean accuracy falls, the published weights, and a verdict.

    There is one per training and strategy; the arguments are those of `breakpoints`.
    """
    breaks = []
    for trained, strategy in dict.fromkeys((e.trained, e.strategy) for e in found):
        own = [e for e in found if (e.trained, e.strategy) == (trained, strategy)]
        theirs, dense = published.get((trained, strategy)), own[0].accuracies["none"]
        if theirs is None or dense is None or own[0].round or len(own) < 2:
            continue
        fallen = (n for n, e in enumerate(own) if (e.accuracies["none"] or 0) < dense - _NEAR)
        last = own[next(fallen, len(own)) - 1]
        breaks.append((last, theirs, _verdict(last, own[-1], strategy, theirs)))
    return breaks


def _verdict(last: Ticket, end: Ticket, strategy: str, published: float) -> str:
    """Whether accuracy falls where the paper's does, within a round; 'original' may keep more."""
    if last is end and last.weights > published / _ROUND:
        return "not tested, as there are no sparser networks"
    if last.weights > published / _ROUND:
        return "not held, it falls earlier"
    if strategy != "original" and last.weights < published * _ROUND:
        return "not held, it falls later, if at all"
    return "held"
