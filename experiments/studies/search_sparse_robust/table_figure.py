"""Tables 1 and 2 at a glance: the published band, our trials, and a strong attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.reports.robustness import AttackedNetwork
from experiments.studies.search_sparse_robust.protocol import ATTACKS
from experiments.studies.search_sparse_robust.tables import Row, Table
from experiments.studies.stronger_attacks import STRONG
from robust_sparse_tf.drawing import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Left = Mapping[str, Mapping[float, float]]
"""Accuracy under a strong attack (percent), by training attack and percentage of weights."""


def strongest(attacked: Sequence[AttackedNetwork]) -> Left:
    """Accuracy of networks under the ensemble `standard`, if it was run.

    Args:
        attacked: see `robustness.attacked`.
    """
    found: dict[str, dict[float, float]] = {}
    for network in attacked:
        if network.evaluation.options.attacks == [STRONG]:
            (left,) = [row.accuracy for row in network.rows if row.attack == "worst"]
            found.setdefault(network.training, {})[100 * network.density] = 100 * left
    return found


def draw(table: Table, left: Left) -> Figure | None:
    """Adversarially trained networks under their training attack, and on clean images.

    Args:
        table: of which the rows that were run are drawn.
        left: of networks like those of the table.

    Returns:
        None if nothing is published, or nothing was run.
    """
    ran = [
        row
        for row in table.rows
        if row.trained == "adversarially" and row.natural.trials and row.robust.published
    ]
    attacks = [attack for attack in ATTACKS if any(row.attack == attack for row in ran)]
    if not attacks:
        return None
    figure, axes = panels(2, len(attacks), (3.5 * len(attacks), 6), constrained=True)
    for column, attack in zip(axes.T, attacks, strict=True):
        own = [row for row in ran if row.attack == attack]
        name = attack.upper()
        for axis, kind in zip(column, ("robust", "natural"), strict=True):
            _panel(axis, own, kind)
        if points := left.get(attack):
            percents = sorted(points, reverse=True)
            values = [points[percent] for percent in percents]
            column[0].plot(percents, values, "^--", color="tab:red", label=f"ours, under {STRONG}")
        column[0].set(title=f"{name}-trained", ylabel=f"test accuracy under {name} (%)")
        column[0].set_ylim(-3, 103)
        column[1].set(xlabel="weights (%)", ylabel="natural test accuracy (%)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def _panel(axis: Axes, rows: Sequence[Row], kind: str) -> None:
    """The published mean with twice its deviation, and our mean with twice ours."""
    found = [row.kinds[kind] for row in rows]
    percents = [row.density for row in rows]
    theirs = [each.published or {"mean": np.nan} for each in found]
    means = np.array([each["mean"] for each in theirs])
    stds = np.array([each.get("std", 0) for each in theirs])
    axis.plot(percents, means, color="black", lw=1)
    low, high = means - 2 * stds, means + 2 * stds
    label = "published, ± 2 deviations"
    axis.fill_between(percents, low, high, color="black", alpha=0.2, label=label)
    ours = [np.nan if each.mean is None else each.mean for each in found]
    bars = [2 * (each.std or 0) for each in found]
    yerr = bars if any(bars) else None
    label = _counted(rows)
    axis.errorbar(percents, ours, yerr=yerr, fmt="o", color="tab:blue", capsize=3, label=label)
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.set_xticks(percents, [f"{percent:g}" for percent in percents])
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _counted(rows: Sequence[Row]) -> str:
    counts = sorted({row.natural.trials for row in rows})
    if counts == [1]:
        return "ours, one seed"
    return f"ours, {' or '.join(map(str, counts))} trials, ± 2 deviations"
