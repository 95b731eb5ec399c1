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
    said = _in_words(means[best] - means[0], spread, "never more robust")
    return (
        f"pruned networks were {said} than the dense one ({means[0]:.4f}): at best "
        f"{means[best]:.4f} with {pruned[best]:.2f} % pruned ({sum(gained)} of {len(gained)} "
        f"references gain), and {means[-1]:.4f} with {pruned[-1]:.2f} %."
    )


def activity(rows: Sequence[PenalisedRow]) -> list[str]:
    """Whether penalised activations made networks more robust."""
    lines = []
    for model in DEEP:
        own = {row.activity_l1: row for row in rows if row.model == model}
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
