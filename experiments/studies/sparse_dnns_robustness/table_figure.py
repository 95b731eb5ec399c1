"""Table 1 (norm of activations) at a glance: published, ours, and a strong attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.evaluations.follow_up import Evaluation
from experiments.reports.published import Comparison
from experiments.studies import stronger_attacks
from experiments.studies.cells import select
from experiments.studies.sparse_dnns_robustness.numbers import PenalisedRow
from experiments.studies.sparse_dnns_robustness.protocol import DEEP, NETWORKS
from experiments.sweeps.directory import Cell
from robust_sparse_tf.drawing import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EPSILON = 0.1  # of r_inf

Left = Mapping[tuple[str, float], float]
"""Accuracy under a strong attack (a fraction), by model and weight of the norm."""

_PANELS = {
    "accuracy": "accuracy (%)",
    "r_inf_fgsm": f"r_inf: accuracy under FGS\n(epsilon {EPSILON:g})",
    "r_2_deepfool": "r_2: mean l2 distance, DeepFool\n(pixels in [0, 1])",
    "activation_sparsity": "silent units (%)",
}


def strongest(
    evaluations: Sequence[Evaluation], cells: Sequence[Cell], rows: Sequence[PenalisedRow]
) -> Left:
    """Accuracy of the networks of table 1 under the ensemble `standard`, if it was run.

    Args:
        evaluations: evaluations of the sweep.
        cells: finished cells of the sweep.
        rows: rows of table 1.
    """
    found = {}
    for row in rows:
        own = select(cells, model=row.model, activity_l1=row.l1, weight_l1=0.0)
        left = stronger_attacks.left_of_dense(evaluations, own, EPSILON)
        if left is not None:
            found[row.model, row.l1] = left
    return found


def draw(rows: Sequence[PenalisedRow], left: Left) -> Figure | None:
    """Draws a panel per measure, with the networks side by side.

    Args:
        rows: rows of table 1.
        left: see `strongest`.

    Returns:
        None if nothing is published, or nothing was run.
    """
    ran = [
        row
        for model in DEEP
        for row in rows
        if row.model == model and _is_compared(row.measures.values())
    ]
    if not ran:
        return None
    figure, axes = panels(2, 2, (7, 6), constrained=True)
    for axis, (name, label) in zip(axes.flat, _PANELS.items(), strict=True):
        _panel(axis, ran, name)
        axis.set_ylabel(label, fontsize="small")
    points = [(x, left[key]) for x, row in enumerate(ran) if (key := (row.model, row.l1)) in left]
    if points:
        label = f"ours, under {stronger_attacks.STRONG}, epsilon {EPSILON:g}"
        axes[0][1].plot(*zip(*points, strict=True), "^", color="tab:red", label=label)
    axes[0][1].set_ylim(0, 1)
    handles, labels = axes[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def _is_compared(measures: Iterable[Comparison]) -> bool:
    return any(found.difference is not None for found in measures)


def _panel(axis: Axes, rows: Sequence[PenalisedRow], name: str) -> None:
    """The published means with twice their deviations, and ours with twice ours."""
    found = [row.measures[name] for row in rows]
    places = np.arange(len(rows))
    theirs = [each.published or {"mean": np.nan} for each in found]
    bars = [2 * each.get("std", 0) for each in theirs]
    means = [each["mean"] for each in theirs]
    label = "published, ± 2 deviations"
    axis.errorbar(places, means, bars, fmt="s", color="black", alpha=0.5, capsize=5, label=label)
    ours = [np.nan if each.mean is None else each.mean for each in found]
    yerr = [2 * (each.std or 0) for each in found]
    trials = " or ".join(map(str, sorted({each.trials for each in found if each.trials})))
    label = f"ours, trials: {trials}, ± 2 deviations"
    axis.errorbar(places + 0.15, ours, yerr, fmt="o", color="tab:blue", capsize=3, label=label)
    names = [f"{row.l1:g}" for row in rows]
    axis.set_xticks(places, names, fontsize="small")
    models = [row.model for row in rows]
    networks = ";  ".join(NETWORKS[model] for model in dict.fromkeys(models))
    axis.set_xlabel(f"{networks}\n(weight of the l1 norm of activations)", fontsize="small")
    for border in range(1, len(rows)):
        if models[border] != models[border - 1]:
            axis.axvline(border - 0.5, color="gray", lw=0.8, ls=":")
    axis.grid(axis="y", alpha=0.3)
