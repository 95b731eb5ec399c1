"""Figures of a run, as in "The Search for Sparse, Robust Neural Networks" (2019)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from experiments.cli.values import Values
from experiments.runs.results import RoundResult, is_mixed, told_there
from robust_sparse_tf import files
from robust_sparse_tf.drawing import legend_below, panels, percent_ticks, viridis
from robust_sparse_tf.procedures.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from robust_sparse_tf.evaluation import Figures


def draw(folder: str, records: list[Record], rounds: list[RoundResult], flags: Values) -> None:
    """Draws all figures of a run, given its flags that are not defaults, into a folder."""
    os.makedirs(folder, exist_ok=True)
    attacks = list(rounds[0]["test"]["robust_accuracy"])
    _against_iteration(os.path.join(folder, "accuracy.png"), records, attacks)
    _early_stopping(os.path.join(folder, "early_stopping.png"), rounds, attacks, flags)


def _against_iteration(path: str, records: list[Record], attacks: list[str]) -> None:
    figure, ((*axes,),) = panels(1, 1 + len(attacks), (5 * (1 + len(attacks)), 4))
    numbers = sorted({record["round"] for record in records})
    for number in numbers:
        own = [record for record in records if record["round"] == number]
        label = f"{100 * own[0]['density']:.1f} %"
        color = viridis(number / len(numbers))
        iterations = [record["iteration"] for record in own]
        for axis, name in zip(axes, [None, *attacks], strict=True):
            values = [_accuracy(record["test"], name) for record in own]
            axis.plot(iterations, values, label=label, color=color)
    for axis, name in zip(axes, [None, *attacks], strict=True):
        _label(axis, "iteration", _title(name))
    legend_below(axes[0], columns=4, title="density")
    files.write_figure(figure, path)


def _early_stopping(
    path: str, rounds: list[RoundResult], attacks: list[str], flags: Values
) -> None:
    kind = "validation" if is_mixed(flags) else "test"
    figure, ((*axes,),) = panels(1, 2, (10, 4))
    densities = [100 * entry["density"] for entry in rounds]
    early = [entry["early_stopping"] for entry in rounds]
    axes[0].plot(densities, [entry["iteration"] for entry in early], "o-")
    for name in [None, *attacks]:
        values = [_accuracy(told_there(entry, flags), name) for entry in early]
        axes[1].plot(densities, values, "o-", label=_title(name, kind))
    _label(axes[1], "density (%)", f"{kind} accuracy at early stopping")
    legend_below(axes[1])
    axes[0].set(xlabel="density (%)", ylabel="early-stopping iteration")
    for axis in axes:
        axis.set_xscale("log")
        axis.set_xticks(densities, [f"{value:.1f}" for value in densities], rotation=45)
        axis.minorticks_off()
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
    files.write_figure(figure, path)


def _accuracy(figures: Figures, attack: str | None) -> float:
    return figures["robust_accuracy"][attack] if attack else figures["clean_accuracy"]


def _title(attack: str | None, kind: str = "test") -> str:
    return f"{kind} accuracy under {attack.upper()}" if attack else f"clean {kind} accuracy"


def _label(axis: Axes, x: str, y: str) -> None:
    axis.set(xlabel=x, ylabel=y)
    axis.yaxis.set_major_formatter(percent_ticks())
    axis.grid(alpha=0.3)
