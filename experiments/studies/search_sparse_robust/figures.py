"""Figures of "The Search for Sparse, Robust Neural Networks" (2019), from our runs."""

from __future__ import annotations

import functools
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.runs.results import RoundResult, stopping_weight, told_there, validation_loss
from experiments.studies.cells import accuracy, nearest_round, select, values_of
from experiments.studies.protocol import Names
from experiments.studies.search_sparse_robust import tickets
from experiments.studies.search_sparse_robust.protocol import DENSITIES
from experiments.sweeps.directory import Cell
from robust_sparse_tf import files
from robust_sparse_tf.drawing import legend_below, panels, viridis
from robust_sparse_tf.method_table import deviation
from robust_sparse_tf.procedures.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_STRATEGIES = {"original": "-", "random": "--", "continued": ":"}


_Titles = Mapping[str, str]  # per cell; trials of a network have the same label
_Plot = Callable[[str, Sequence[Cell], _Titles], "Figure | None"]


def draw(folder: str, cells: Sequence[Cell], unlike: Names) -> list[str]:
    """Draws all figures into `folder/figures`; returns Markdown that shows them.

    Args:
        folder: folder of the sweep.
        cells: finished cells.
        unlike: see `Protocol.names`.
    """
    titles = {cell.name: _title(cell, unlike[cell.name]) for cell in cells}
    lines = ["## Figures", ""]
    for dataset in values_of(cells, "dataset"):
        own = select(cells, dataset=dataset)
        for name, (plot, numbers, words) in FIGURES.items():
            path = os.path.join("figures", f"{dataset}_{name}.png")
            if figure := plot(folder, own, titles):
                files.write_figure(figure, os.path.join(folder, path))
                number = numbers.get(dataset)
                title = f"{number}: {words}" if number else words[0].upper() + words[1:]
                lines += [f"{title}, {dataset}:", "", f"![{title}, {dataset}]({path})", ""]
    return lines


def _trials(cells: Sequence[Cell], titles: _Titles) -> list[list[Cell]]:
    """The cells of each training and pruning, which differ only in their seeds."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(titles[cell.name], []).append(cell)
    return list(found.values())


def _title(cell: Cell, unlike: tuple[str, ...]) -> str:
    attack, strategy = cell.flag("attack"), cell.flag("strategy")
    trained = "natural" if attack == "none" else attack.upper()
    rewound = f" ({cell.flag('rewind_to')})" if strategy == "original" else ""
    words = (trained, f"{strategy}{rewound}", f"{cell.flag('iterations'):,}")
    return "\n".join((", ".join(words), *unlike))


def _spread(points: dict[float, list[float]]) -> tuple[list[float], np.ndarray, np.ndarray]:
    """The mean and deviation (of the sample, 0 for one) of the values at each x."""
    means = [statistics.fmean(values) for values in points.values()]
    stds = [deviation(values) or 0 for values in points.values()]
    return list(points), np.array(means), np.array(stds)


def _curves(
    axis: Axes,
    trials: list[Cell],
    value: Callable[[Record], float | None],
) -> None:
    """A line per density over the iterations of its round: the mean of trials, and a band."""
    for place, percent in enumerate(DENSITIES):
        points: dict[float, list[float]] = {}
        for cell in trials:
            number = nearest_round(cell, percent)
            for record in cell.records:
                if record["round"] == number and (y := value(record)) is not None:
                    points.setdefault(record["iteration"], []).append(y)
        if points:
            color = viridis(place / len(DENSITIES))
            iterations, means, stds = _spread(dict(sorted(points.items())))
            dot = "." if len(means) == 1 else ""
            axis.plot(iterations, means, dot + "-", color=color, label=f"{percent:g} %", lw=1)
            axis.fill_between(iterations, means - stds, means + stds, color=color, alpha=0.2)
    axis.grid(alpha=0.3)
    if not axis.lines:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)


def _accuracy_under(attack: str) -> Callable[[Record], float | None]:
    return lambda record: accuracy(record["test"], attack)


def _attacks(cell: Cell) -> Iterable[str]:
    return cell.rounds[-1]["test"]["robust_accuracy"]


def _iterations(folder: str, cells: Sequence[Cell], titles: _Titles) -> Figure:
    """Accuracy and the loss of early stopping against iteration.

    A row per training; columns for clean images, each attack and the loss. Rows of one attack share
    axes, so that strategies can be compared.
    """
    nets = _trials(cells, titles)
    names = ["none", *dict.fromkeys(name for cell in cells for name in _attacks(cell))]
    figure, axes = _axes(len(nets), len(names) + 1)
    firsts: dict[str, np.ndarray] = {}
    for row, trials in zip(axes, nets, strict=True):
        first = firsts.setdefault(trials[0].flag("attack"), row)
        for axis, other in zip(row, first, strict=True):
            if axis is not other:
                axis.sharey(other)
        for axis, name in zip(row[:-1], names, strict=True):
            _curves(axis, trials, _accuracy_under(name))
        attack = trials[0].flag("attack")
        weight = stopping_weight(trials[0].results["flags"])
        loss = functools.partial(validation_loss, attack=attack, clean_weight=weight)
        _curves(row[-1], trials, loss)
        row[0].set_ylabel(titles[trials[0].name], fontsize="small")
    for axis, name in zip(axes[0][:-1], names, strict=True):
        axis.set_title("test accuracy (%)" + ("" if name == "none" else f" under {name.upper()}"))
    axes[0][-1].set_title("validation loss")
    for axis in axes[-1]:
        axis.set_xlabel("iteration")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, title="weights", loc="outside right upper")
    return figure


def _strategies(folder: str, cells: Sequence[Cell], titles: _Titles) -> Figure:
    """Iteration and accuracies at early stopping, against density, by strategy."""
    attacks = values_of(cells, "attack")
    kinds = {"robust": "test", "mixed": "validation"}
    kind = " or ".join(kinds[name] for name in values_of(cells, "early_stopping"))
    figure, axes = _axes(3, len(attacks))
    for column, attack in enumerate(attacks):
        own = select(cells, attack=attack)
        axes[0][column].set_title("natural" if attack == "none" else attack.upper())
        for trials in _trials(own, titles):
            robust = attack if attack != "none" else next(iter(_attacks(trials[0])), "none")
            measures = (_stop, _accuracy_there("none"), _accuracy_there(robust))
            style = _STRATEGIES[trials[0].flag("strategy")]
            for axis, value in zip(axes[:, column], measures, strict=True):
                points = _by_density(trials, value)
                dot = "." if len(points) == 1 else ""
                axis.errorbar(*_spread(points), fmt=dot + style, label=titles[trials[0].name], lw=1)
            axes[2][column].set_ylabel(f"{kind} accuracy (%), {robust}")
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.invert_xaxis()
        ticks = [percent for percent in DENSITIES if percent >= 0.95 * axis.get_xlim()[1]]
        axis.set_xticks(ticks, [f"{percent:g}" for percent in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("iteration")
    axes[1][0].set_ylabel(f"{kind} accuracy (%)")
    for axis in axes[-1]:
        axis.set_xlabel("weights (%)")
        legend_below(axis, columns=1)
    return figure


def _stop(cell: Cell, entry: RoundResult) -> float:
    return entry["early_stopping"]["iteration"]


def _accuracy_there(attack: str) -> Callable[[Cell, RoundResult], float | None]:
    """The accuracy that is reported at early stopping."""
    return lambda cell, entry: accuracy(
        told_there(entry["early_stopping"], cell.results["flags"]), attack
    )


def _by_density(
    trials: list[Cell], value: Callable[[Cell, RoundResult], float | None]
) -> dict[float, list[float]]:
    """The trials' values at early stopping, by remaining weights (percent)."""
    found: dict[float, list[float]] = {}
    for cell in trials:
        for entry in cell.rounds:
            y = value(cell, entry)
            if y is not None:
                found.setdefault(round(100 * entry["density"], 3), []).append(y)
    return found


def _tickets(folder: str, cells: Sequence[Cell], titles: _Titles) -> Figure | None:
    """The distribution of the weights that each density is rewound to."""
    firsts = [trials[0] for trials in _trials(select(cells, strategy="original"), titles)]
    found = tickets.curves(folder, firsts)
    return tickets.draw(found, titles) if found else None


def _axes(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    size = (3.5 * columns, 2.5 * rows + 0.5)
    return panels(rows, columns, size, constrained=True)


# The contents of each figure, and its numbers in the paper by data set. The caption of figure 6
# says fashion_mnist, which is figure 12; its place and the text show that it is mnist.
FIGURES: dict[str, tuple[_Plot, dict[str, str], str]] = {
    "iterations": (
        _iterations,
        {"mnist": "Figures 1, 2, 4 and 6", "fashion_mnist": "Figures 7, 8, 10 and 12"},
        "accuracy and validation loss against iteration",
    ),
    "strategies": (
        _strategies,
        {"mnist": "Figures 3 and 5", "fashion_mnist": "Figures 9 and 11"},
        "at early stopping, against density, by strategy",
    ),
    "tickets": (
        _tickets,
        {"mnist": "Figures 13 to 15"},
        "what the first trials' tickets are rewound to, by layer",
    ),
}
