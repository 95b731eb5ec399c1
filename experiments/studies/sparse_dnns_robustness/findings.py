"""Findings on "Sparse DNNs with Improved Adversarial Robustness" (2018), from the numbers."""

import statistics
from collections.abc import Mapping, Sequence

from experiments.studies.sparse_dnns_robustness.numbers import (
    PenalisedRow,
    Point,
    Round,
    Series,
    points,
)
from experiments.studies.sparse_dnns_robustness.protocol import COLUMNS, DEEP, NETWORKS


def pruning(found: Mapping[str, Series]) -> list[str]:
    """The best and the last round of each network, by each measure."""
    lines = []
    for model, own in found.items():
        for name in ("r_inf_fgsm", "r_2_deepfool", "r_2_carlini_wagner", "clever"):
            measured = [entry for entry in own if name in entry.trials]
            if len(measured) >= 2:
                lines.append(f"{NETWORKS[model]}, {COLUMNS[name].title}: {_best(measured, name)}")
    return lines


def _best(measured: Sequence[Round], name: str) -> str:
    """Compares the best and the last round with the dense network."""
    found = points(measured, name)
    best, spread = most_robust(found)
    dense, last = found[0], found[-1]
    trials = [entry.trials[name] for entry in (measured[0], measured[found.index(best, 1)])]
    gained = [value > trials[0][cell] for cell, value in trials[1].items() if cell in trials[0]]
    said = _in_words(best.mean - dense.mean, spread, "no more robust, on average,")
    shown = [f"{point.mean:.{COLUMNS[name].digits}f}" for point in (dense, best, last)]
    return (
        f"pruned networks were {said} than the dense one ({shown[0]}): at best "
        f"{shown[1]} with {100 * best.sparsity:.2f} % pruned ({sum(gained)} of {len(gained)} "
        f"references gain), and {shown[2]} with {100 * last.sparsity:.2f} %."
    )


def most_robust(found: Sequence[Point]) -> tuple[Point, float]:
    """The pruned network with the largest mean, and the spread of its, or the dense, references."""
    dense, *pruned = found
    best = max(pruned, key=lambda point: point.mean)
    return best, max(best.std, dense.std)


def over_pruning(found: Mapping[str, Series]) -> list[str]:
    """Section 4.3: whether r_2 falls below the dense network's before the accuracy does."""
    lines = []
    for model, own in found.items():
        measured = [entry for entry in own if {"r_2_deepfool", "accuracy"} <= {*entry.trials}]
        if model not in DEEP or not measured or measured[0].round:
            continue
        robust, accuracy = (points(measured, name) for name in ("r_2_deepfool", "accuracy"))
        if (weaker := first_below(robust)) is None:
            said = "r_2 never falls below the dense network's"
        else:
            there = accuracy[robust.index(weaker)]
            said = (
                f"r_2 falls below the dense network's at {100 * weaker.sparsity:.2f} % pruned, "
                f"where the accuracy is {there.mean:.2f} % (dense {accuracy[0].mean:.2f} %): r_2 "
                + (
                    "falls first, as in section 4.3"
                    if falls_first(robust, accuracy)
                    else "does not fall first"
                )
            )
        lines.append(f"{NETWORKS[model]}, DeepFool: {said}.")
    return lines


def falls_first(robust: Sequence[Point], accuracy: Sequence[Point]) -> bool:
    """Judges whether a measure falls below the dense network's before the accuracy does."""
    weaker, worse = first_below(robust), first_below(accuracy)
    return weaker is not None and (worse is None or worse.sparsity > weaker.sparsity)


def first_below(found: Sequence[Point]) -> Point | None:
    """The first round below the dense network by more than the spread of references."""
    dense, *pruned = found
    return next((p for p in pruned if dense.mean - p.mean > max(dense.std, p.std)), None)


def theorems(found: Mapping[str, Series]) -> list[str]:
    """Whether the bounds on r_inf are vacuous, and lemma 3.1's constants against sparsity."""
    lines = []
    for model, own in found.items():
        bounds = [entry.values("bound_r_inf") for entry in own if "bound_r_inf" in entry.trials]
        if bounds:
            empty = sum(statistics.fmean(values) >= 1 for values in bounds)
            lines.append(
                f"{NETWORKS[model]}: the bound on r_inf is 1 or more, and so vacuous, in {empty} "
                f"of {len(bounds)} rounds."
            )
        constants = [entry for entry in own if "lipschitz_l2" in entry.trials]
        if model in DEEP and len(constants) > 1:
            shown = ", ".join(
                f"{statistics.fmean(entry.values('lipschitz_l2')):.1f} at "
                f"{100 * entry.sparsity:.2f} %"
                for entry in constants
            )
            lines.append(f"{NETWORKS[model]}: L_2 of lemma 3.1 by the share pruned is {shown}.")
    return lines


def gammas(found: Mapping[str, Series]) -> list[str]:
    """Section 3.2: whether an appropriate sparsity makes proposition 3.1's gamma larger."""
    lines = []
    for model, own in found.items():
        for name in ("gamma_l2", "gamma_linf"):
            measured = [entry for entry in own if name in entry.trials]
            if model in DEEP and len(measured) > 1 and not measured[0].round:
                lines.append(f"{NETWORKS[model]}, {COLUMNS[name].title}: {_best(measured, name)}")
    return lines


def activity(rows: Sequence[PenalisedRow]) -> list[str]:
    """Whether penalised activations made networks more robust."""
    lines = []
    for model in DEEP:
        own = {row.l1: row for row in rows if row.model == model}
        plain = own[0.0].measures["r_inf_fgsm"]
        for weight, row in own.items():
            found = row.measures["r_inf_fgsm"]
            if weight and plain.mean is not None and found.mean is not None:
                spread = max(plain.std or 0, found.std or 0)
                lines.append(
                    f"{row.network}: {_in_words(found.mean - plain.mean, spread, 'less robust')} "
                    f"than without (r_inf {found.mean:.4f} against {plain.mean:.4f})."
                )
    return lines


def _in_words(gain: float, spread: float, otherwise: str) -> str:
    """A gain in words, given the deviation of references."""
    if gain <= 0:
        return otherwise
    return "more robust" if gain > spread else "more robust, by less than the references differ,"
