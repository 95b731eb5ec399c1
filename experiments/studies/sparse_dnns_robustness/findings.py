"""What held of "Sparse DNNs with Improved Adversarial Robustness" (2018): sentences made of the
numbers."""

import statistics
from collections.abc import Mapping, Sequence

from experiments.cli.tables import deviation
from experiments.studies.sparse_dnns_robustness.numbers import PenalisedRow, Round, Series
from experiments.studies.sparse_dnns_robustness.protocol import COLUMNS, DEEP, NETWORKS


def pruning(found: Mapping[str, Series]) -> list[str]:
    """Of each network and measure where it was best, and what the last round left."""
    lines = []
    for model, own in found.items():
        for name in ("r_inf_fgsm", "r_2_deepfool", "r_2_carlini_wagner", "clever"):
            measured = [entry for entry in own if name in entry.trials]
            if len(measured) >= 2:
                lines.append(f"{NETWORKS[model]}, {COLUMNS[name].title}: {_best(measured, name)}")
    return lines


def _best(measured: Sequence[Round], name: str) -> str:
    """The round that stands most beside the dense network, and the last round."""
    values = [entry.trials[name] for entry in measured]
    pruned = [100 * entry.sparsity for entry in measured]
    means = [statistics.fmean(trials.values()) for trials in values]
    best = means.index(max(means[1:]), 1)
    dense = values[0]
    gained = [value > dense[cell] for cell, value in values[best].items() if cell in dense]
    spread = max(deviation([*values[place].values()]) or 0 for place in (0, best))
    said = _in_words(means[best] - means[0], spread, "no more robust, on average,")
    digits = COLUMNS[name].digits
    shown = [f"{means[place]:.{digits}f}" for place in (0, best, -1)]
    return (
        f"pruned networks were {said} than the dense one ({shown[0]}): at best "
        f"{shown[1]} with {pruned[best]:.2f} % pruned ({sum(gained)} of {len(gained)} "
        f"references gain), and {shown[2]} with {pruned[-1]:.2f} %."
    )


def over_pruning(found: Mapping[str, Series]) -> list[str]:
    """Section 4.3: whether r_2 falls below the dense network's before the accuracy does."""
    lines = []
    for model, own in found.items():
        measured = [entry for entry in own if {"r_2_deepfool", "accuracy"} <= {*entry.trials}]
        if model not in DEEP or not measured or measured[0].round:
            continue
        first = {name: _first_below(measured, name) for name in ("r_2_deepfool", "accuracy")}
        if (weaker := first["r_2_deepfool"]) is None:
            said = "r_2 never falls below the dense network's"
        else:
            accuracy = [statistics.fmean(each.values("accuracy")) for each in (weaker, measured[0])]
            held = not first["accuracy"] or first["accuracy"].round > weaker.round
            said = (
                f"r_2 falls below the dense network's at {100 * weaker.sparsity:.2f} % pruned, "
                f"where the accuracy is {accuracy[0]:.2f} % (dense {accuracy[1]:.2f} %)"
                + (": r_2 falls first, as in section 4.3" if held else ": r_2 does not fall first")
            )
        lines.append(f"{NETWORKS[model]}, DeepFool: {said}.")
    return lines


def _first_below(measured: Sequence[Round], name: str) -> Round | None:
    """The first round below the dense network by more than references are apart."""
    dense = measured[0].values(name)
    for entry in measured[1:]:
        spread = max(deviation(dense) or 0, deviation(entry.values(name)) or 0)
        if statistics.fmean(dense) - statistics.fmean(entry.values(name)) > spread:
            return entry
    return None


def theorems(found: Mapping[str, Series]) -> list[str]:
    """How much the bounds on r_inf say, and how lemma 3.1's constants go with sparsity."""
    lines = []
    for model, own in found.items():
        bounds = [entry.values("bound_r_inf") for entry in own if "bound_r_inf" in entry.trials]
        if bounds:
            empty = sum(statistics.fmean(values) >= 1 for values in bounds)
            lines.append(
                f"{NETWORKS[model]}: the bound on r_inf is 1 or more, and says nothing, in {empty} "
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
    """What a gain is called, beside the deviation of references."""
    if gain <= 0:
        return otherwise
    return "more robust" if gain > spread else "more robust, by less than references are apart,"
