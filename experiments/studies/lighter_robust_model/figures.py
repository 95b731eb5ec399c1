"""Figures 2, 3 and 5 to 12 of "Towards lighter adversarially robust model", of our runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from experiments.evaluations.stored import Usefulness
from experiments.studies import stronger_attacks
from experiments.studies.lighter_robust_model.numbers import (
    Accuracies,
    Features,
    Pruned,
    Scale,
    Ticket,
)
from experiments.studies.lighter_robust_model.protocol import ATTACKS
from robust_sparse_tf import files
from robust_sparse_tf.drawing import COLORS, legend_below, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_COLORS = dict(zip(("none", "fgsm", "pgd"), COLORS, strict=False))

Left = Mapping[tuple[str, int], float]
"""Accuracy under `standard` (percent), by training attack and scale."""

_Entry = TypeVar("_Entry", Scale, Pruned, Ticket)


def draw(
    folder: str,
    place: str,
    scales: Sequence[Scale],
    features: Sequence[Features],
    pruned: Sequence[Pruned],
    tickets: Sequence[Ticket],
    left: Left,
) -> list[str]:
    """Draws the available figures into a place in a folder; returns Markdown that shows them."""
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    ran = [entry for entry in scales if entry.accuracies["none"].trials]
    measured = {e.trained: use for e in features if (use := e.usefulness)}
    lines = ["## Figures", ""]
    if ran:
        title = "Figures 2 and 3: accuracy against scale"
        lines += _saved(folder, place, "capacity", title, _capacity(ran, left))
    if measured:
        title = "Figures 5 to 8: usefulness of features"
        lines += _saved(folder, place, "usefulness", title, _usefulness(measured))
    if pruned:
        lines += _saved(
            folder, place, "pruning", "Accuracy against features left", _pruning(pruned)
        )
    if tickets:
        title = "Figures 9 to 12: accuracy against weights left"
        lines += _saved(folder, place, "tickets", title, _tickets(tickets))
    return lines


def _saved(folder: str, place: str, name: str, title: str, figure: Figure) -> list[str]:
    """Saves a figure; returns Markdown that shows it."""
    path = os.path.join(place, f"{name}.png")
    figure.suptitle(title)
    files.write_figure(figure, os.path.join(folder, path))
    return [f"{title}:", "", f"![{title}]({path})", ""]


def _capacity(scales: Sequence[Scale], left: Left) -> Figure:
    """A panel per training; crosses are published numbers, triangles `standard`."""
    figure, axes = _panels(scales, lambda trained: f"trained with {trained.upper()}")
    for axis, own in axes:
        for attack, title in ATTACKS.items():
            compared = [(entry.scale, entry.accuracies[attack]) for entry in own]
            ours = [(scale, found.mean) for scale, found in compared if found.trials]
            theirs = [
                (scale, found.published["mean"]) for scale, found in compared if found.published
            ]
            for points, style, of in ((ours, "o-", ""), (theirs, "x:", " (published)")):
                if points:
                    label = title + of
                    axis.plot(*zip(*points, strict=True), style, color=_COLORS[attack], label=label)
        strong = [
            (entry.scale, left[key])
            for entry in own
            if (key := (entry.trained, entry.scale)) in left
        ]
        if strong:
            name = stronger_attacks.STRONG
            axis.plot(*zip(*strong, strict=True), "^--", color=COLORS[-1], label=name)
        axis.set(xlabel="scale", ylabel="test accuracy (%)", ylim=(0, 101))
        axis.set_xticks(range(6))
        legend_below(axis)
    return figure


def _usefulness(measured: Mapping[str, Usefulness]) -> Figure:
    """A row per training; features from the most to the least useful."""
    shape = (len(measured), 3)
    figure, axes = panels(*shape, (4 * shape[1], 3 * shape[0] + 0.5))
    for row, (trained, use) in zip(axes, measured.items(), strict=True):
        of_kinds = {
            "normalised": (use["normalised"], use["normalised_robust"]),
            "raw": (use["raw"], use["raw_robust"]),
            "weighted by the last layer": (use["weighted"], use["weighted_robust"]),
        }
        for axis, (title, values) in zip(row, of_kinds.items(), strict=True):
            clean, robust = map(np.array, values)
            order = np.argsort(-clean)
            axis.plot(clean[order], label="usefulness")
            axis.plot(robust[order], ".", markersize=3, label="robust usefulness")
            axis.axhline(0, color="gray", lw=0.5)
            axis.set_title(f"trained: {trained}; {title}", fontsize="small")
            axis.set_xlabel("feature, by usefulness")
        row[0].set_ylabel("usefulness")
        legend_below(row[0], columns=2)
    return figure


def _pruning(pruned: Sequence[Pruned]) -> Figure:
    """A panel per training, a style per measure."""
    figure, axes = _panels(pruned, lambda trained: f"trained: {trained}")
    for axis, own in axes:
        for measure, style in (("usefulness", "--"), ("robust_usefulness", "-")):
            points = [(e.features, e.accuracies) for e in own if e.share and e.measure == measure]
            _lines(axis, points, style, measure.replace("_", " "))
        _log_axis(axis, "features left", sorted({entry.features for entry in own}))
        legend_below(axis, columns=2)  # its words are long
    return figure


def _tickets(tickets: Sequence[Ticket]) -> Figure:
    """A panel per training, a style per initialisation."""
    figure, axes = _panels(tickets, lambda trained: f"trained: {trained}")
    for axis, own in axes:
        for strategy, style in (("original", "-"), ("random", "--")):
            points = [(e.weights, e.accuracies) for e in own if e.strategy == strategy]
            _lines(axis, points, style, strategy)
        _log_axis(axis, "weights left (%)", [100, 10, 1])
        legend_below(axis)
    return figure


def _log_axis(axis: Axes, label: str, ticks: list[int]) -> None:
    """Sets up the axes, from the whole network to its smallest part."""
    axis.set(xscale="log", xlabel=label, ylabel="test accuracy (%)")
    axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.invert_xaxis()


def _lines(axis: Axes, entries: Sequence[tuple[float, Accuracies]], style: str, label: str) -> None:
    """Draws a line per measured attack."""
    for attack, title in ATTACKS.items():
        points = [(x, own[attack]) for x, own in entries if own[attack] is not None]
        if points:
            name = f"{title}, {label}"
            axis.plot(*zip(*points, strict=True), style, color=_COLORS[attack], label=name, lw=1)


def _panels(
    entries: Sequence[_Entry], title: Callable[[str], str]
) -> tuple[Figure, list[tuple[Axes, list[_Entry]]]]:
    """A panel per training, with its entries."""
    values = list(dict.fromkeys(entry.trained for entry in entries))
    figure, axes = panels(1, len(values), (5 * len(values), 4))
    found = []
    for axis, value in zip(axes[0], values, strict=True):
        axis.set_title(title(value), fontsize="small")
        axis.grid(alpha=0.3)
        found.append((axis, [entry for entry in entries if entry.trained == value]))
    return figure, found
