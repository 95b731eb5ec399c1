"""Figures 2, 3 and 5 to 12 of "Towards lighter adversarially robust model", of our runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.cli.figures import panels
from robust_sparse_tf import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Entries = list[dict[str, Any]]

ATTACKS = {"none": "clean", "fgsm": "FGSM", "pgd": "PGD"}
"""What tables and figures call an attack."""

_COLORS = {"none": "C0", "fgsm": "C1", "pgd": "C2"}
_KINDS = {"normalised": "normalised", "raw": "raw", "weighted": "weighted by the last layer"}


def draw(
    folder: str, scales: Entries, features: Entries, pruned: Entries, tickets: Entries
) -> list[str]:
    """Draws what there is into `folder/figures`; returns Markdown that shows it."""
    os.makedirs(os.path.join(folder, "figures"), exist_ok=True)
    ran = [entry for entry in scales if entry["none"]["trials"]]
    measured = [entry for entry in features if entry["usefulness"]]
    lines = ["## Figures", ""]
    for name, title, entries, plot in (
        ("capacity", "Figures 2 and 3: accuracy against scale", ran, _capacity),
        ("usefulness", "Figures 5 to 8: usefulness of features", measured, _usefulness),
        ("pruning", "Accuracy against features left", pruned, _pruning),
        ("tickets", "Figures 9 to 12: accuracy against weights left", tickets, _tickets),
    ):
        if entries:
            figure = plot(entries)
            path = os.path.join("figures", f"{name}.png")
            figure.suptitle(title)
            files.write_figure(figure, os.path.join(folder, path), dpi=70)
            lines += [f"{title}:", "", f"![{title}]({path})", ""]
    return lines


def _capacity(scales: Entries) -> Figure:
    """A panel for each way of training; crosses are the published figures."""
    figure, axes = _panels(scales, "trained", lambda value: f"trained with {value.upper()}")
    for axis, own in axes:
        for attack, title in ATTACKS.items():
            ours = [(e["scale"], e[attack]["mean"]) for e in own if e[attack]["trials"]]
            known = [e for e in own if e[attack]["published"]]
            theirs = [(e["scale"], e[attack]["published"]["mean"]) for e in known]
            for points, style, of in ((ours, "o-", ""), (theirs, "x:", " (published)")):
                if points:
                    label = title + of
                    axis.plot(*zip(*points, strict=True), style, color=_COLORS[attack], label=label)
        axis.set(xlabel="scale", ylabel="test accuracy (%)", ylim=(0, 101))
        axis.set_xticks(range(6))
        _legend_below(axis)
    return figure


def _usefulness(features: Entries) -> Figure:
    """A row for each way of training; features from the most to the least useful."""
    shape = (len(features), len(_KINDS))
    figure, axes = panels(*shape, (4 * shape[1], 3 * shape[0] + 0.5))
    for row, entry in zip(axes, features, strict=True):
        for axis, (kind, title) in zip(row, _KINDS.items(), strict=True):
            clean = np.array(entry["usefulness"][kind])
            robust = np.array(entry["usefulness"][kind + "_robust"])
            order = np.argsort(-clean)
            axis.plot(clean[order], label="usefulness")
            axis.plot(robust[order], ".", markersize=3, label="robust usefulness")
            axis.axhline(0, color="gray", lw=0.5)
            axis.set_title(f"trained: {entry['trained']}; {title}", fontsize="small")
            axis.set_xlabel("feature, by usefulness")
        row[0].set_ylabel("usefulness")
        row[0].legend(fontsize="x-small")
    return figure


def _pruning(pruned: Entries) -> Figure:
    """A panel for each way of training, a style for each measure."""
    figure, axes = _panels(pruned, "trained", lambda value: f"trained: {value}")
    for axis, own in axes:
        for measure, style in (("usefulness", "--"), ("robust_usefulness", "-")):
            points = [entry for entry in own if entry["measure"] == measure]
            label = measure.replace("_", " ")
            _lines(axis, points, "features", style, label)
        _log_axis(axis, "features left", sorted({entry["features"] for entry in own}))
        _legend_below(axis)
    return figure


def _tickets(tickets: Entries) -> Figure:
    """A panel for each way of training, a style for each initialisation."""
    figure, axes = _panels(tickets, "trained", lambda value: f"trained: {value}")
    for axis, own in axes:
        for strategy, style in (("original", "-"), ("random", "--")):
            points = [entry for entry in own if entry["strategy"] == strategy]
            _lines(axis, points, "weights", style, strategy)
        _log_axis(axis, "weights left (%)", [100, 10, 1])
        _legend_below(axis)
    return figure


def _legend_below(axis: Axes) -> None:
    """Where it covers no line."""
    axis.legend(fontsize="x-small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _log_axis(axis: Axes, label: str, ticks: list[int]) -> None:
    """From what is whole to what is left of it."""
    axis.set(xscale="log", xlabel=label, ylabel="test accuracy (%)")
    axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.invert_xaxis()


def _lines(axis: Axes, entries: Entries, x: str, style: str, label: str) -> None:
    """A line for each attack that was measured."""
    for attack, title in ATTACKS.items():
        points = [(e[x], e[attack]) for e in entries if e[attack] is not None]
        if points:
            name = f"{title}, {label}"
            axis.plot(*zip(*points, strict=True), style, color=_COLORS[attack], label=name, lw=1)


def _panels(
    entries: Entries, key: str, title: Callable[[str], str]
) -> tuple[Figure, list[tuple[Axes, Entries]]]:
    """A panel for each value of a key, with the entries that have it."""
    values = list(dict.fromkeys(entry[key] for entry in entries))
    figure, axes = panels(1, len(values), (5 * len(values), 4))
    found = []
    for axis, value in zip(axes[0], values, strict=True):
        axis.set_title(title(value), fontsize="small")
        axis.grid(alpha=0.3)
        found.append((axis, [entry for entry in entries if entry[key] == value]))
    return figure, found
