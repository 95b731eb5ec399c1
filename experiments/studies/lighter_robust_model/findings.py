"""What held of "Towards lighter adversarially robust model": sentences made of the numbers."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

from experiments.studies.cells import how
from experiments.studies.lighter_robust_model.numbers import Features, Pruned, Scale, Ticket

_ROBUST = 50.0  # percent; a network that stands its attack more often than not
_ILLUSION = 30.0  # points by which an accuracy under FGSM is above that under PGD
_ROUND = 0.69  # of the weights that stay in a round of tickets (0.7), and the study's rounding
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


def features(found: Sequence[Features], published: tuple[int, int] | None = None) -> list[str]:
    """How many of the useful features are robustly useful, by way of training.

    Args:
        found: of each way of training.
        published: how many of how many are robust where no attack is trained with.
    """
    lines = []
    for entry in found:
        if use := entry.usefulness:
            useful = sum(value > 0 for value in use["weighted"])
            both = sum(
                clean > 0 and robust > 0
                for clean, robust in zip(use["weighted"], use["weighted_robust"], strict=True)
            )
            theirs = ""
            if published and entry.trained == "none":
                verdict = "held" if both == published[0] else "not held"
                theirs = f" (published: {published[0]} of {published[1]} features): {verdict}"
            lines.append(
                f"Trained {how(entry.trained)}, {both} of {useful} useful features are "
                f"robustly useful{theirs}."
            )
    return lines


def pruning(found: Sequence[Pruned]) -> list[str]:
    """With how few features networks keep their accuracies, by training and measure."""
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
    """The rounds of each network that is pruned; the controls are none."""
    ways: dict[tuple[str, str, float], list[Pruned]] = {}
    for entry in found:
        if entry.share:
            ways.setdefault((entry.trained, entry.measure, entry.share), []).append(entry)
    return list(ways.values())


def controls(found: Sequence[Pruned]) -> list[str]:
    """What the last pruned networks have beside those trained as long with all their features."""
    whole = {(e.trained, e.round): e for e in found if not e.share}
    if found and not whole:
        return ["What pruning features costs, beside networks trained as long: not tested."]
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
                    f"({under}), and with all {control.features}, trained as long, {kept:.2f} %: "
                    f"pruning costs at most {_NEAR:g} point: {held}."
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


def breakpoints(found: Sequence[Ticket], published: Mapping[tuple[str, str], float]) -> list[str]:
    """Down to which weights clean accuracy is the dense network's, beside what the study says.

    Args:
        found: rounds of tickets in their order, the dense network first.
        published: see `Published.holds_down_to`.
    """
    lines = []
    for trained, strategy in dict.fromkeys((e.trained, e.strategy) for e in found):
        own = [e for e in found if (e.trained, e.strategy) == (trained, strategy)]
        theirs, dense = published.get((trained, strategy)), own[0].accuracies["none"]
        if theirs is None or dense is None or own[0].round or len(own) < 2:
            continue
        fallen = (n for n, e in enumerate(own) if (e.accuracies["none"] or 0) < dense - _NEAR)
        last = own[next(fallen, len(own)) - 1]
        lines.append(
            f"Trained {how(trained)}, {strategy} initialisations keep clean accuracy within "
            f"{_NEAR:g} point of the dense network's down to {last.weights:.2f} % of the weights "
            f"(published: down to about {theirs:g} %): {_verdict(last, own[-1], strategy, theirs)}."
        )
    return lines


def _verdict(last: Ticket, end: Ticket, strategy: str, published: float) -> str:
    """Whether it breaks where the study's does, but for a round; an original one may keep more."""
    if last is end and last.weights > published / _ROUND:
        return "not tested, as there are no sparser networks"
    if last.weights > published / _ROUND:
        return "not held, it falls earlier"
    if strategy != "original" and last.weights < published * _ROUND:
        return "not held, it falls later, if at all"
    return "held"
