"""Figures of a report: accuracy against epsilon, and images before and after attacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robust_sparse_tf import files
from robust_sparse_tf.drawing import COLORS, MARKERS, legend_beside, panels, percent_ticks
from robust_sparse_tf.evaluation.report import RESERVED, Report, Row, is_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_figure(report: Report) -> Figure:
    """Draws accuracy against epsilon, a line per attack, with intervals; bars for one epsilon."""
    clean, *rows = report.rows()
    attacked = [row for row in rows if row["epsilon"] is not None]
    balls = dict.fromkeys((row["norm"], row["epsilon"]) for row in attacked if row["epsilon"])
    figure, axes = panels(1, 1, (7.5, 4), constrained=True)
    axis = axes[0, 0]
    norms = list(dict.fromkeys(norm for norm, _ in balls))
    if len(balls) > 1:
        _lines(axis, clean, attacked, several=len(norms) > 1)
        axis.set_xlabel(f"epsilon ({', '.join(map(str, norms))})")
        legend_beside(axis)
    else:
        _bars(axis, [clean, *(row for row in attacked if row["epsilon"])])
        axis.set_xlabel("".join(f"epsilon {epsilon:g} ({norm})" for norm, epsilon in balls))
    axis.set_ylim(-0.02, 1.02)
    axis.yaxis.set_major_formatter(percent_ticks())
    axis.set_ylabel(f"accuracy, {100 * report.level:g} % intervals")
    return figure


def _lines(axis: Axes, clean: Row, attacked: Sequence[Row], several: bool) -> None:
    names = dict.fromkeys((row["attack"], row["norm"]) for row in attacked)
    for number, (name, norm) in enumerate(names):
        own = [row for row in attacked if (row["attack"], row["norm"]) == (name, norm)]
        points = sorted((row["epsilon"] or 0.0, row["accuracy"], row) for row in own)
        radii = [0.0, *(radius for radius, _, _ in points)]
        found = [clean, *(row for _, _, row in points)]
        color, marker = COLORS[number % (len(COLORS) - 1)], MARKERS[number % len(MARKERS)]
        line = "-"
        if name == "worst":  # dashed, as it often coincides with an attack's line
            color, marker, line = COLORS[-1], "", "--"
        label = f"{name} ({norm})" if several else name
        values = [row["accuracy"] for row in found]
        axis.plot(radii, values, label=label, color=color, marker=marker, linestyle=line)
        lows, highs = [row["low"] for row in found], [row["high"] for row in found]
        axis.fill_between(radii, lows, highs, alpha=0.1, color=color)


def _bars(axis: Axes, rows: Sequence[Row]) -> None:
    colors = ["gray" if row["attack"] in RESERVED else COLORS[0] for row in rows]
    heights = [row["accuracy"] for row in rows]
    below = [row["accuracy"] - row["low"] for row in rows]
    above = [row["high"] - row["accuracy"] for row in rows]
    places = range(len(rows))
    axis.bar(places, heights, 0.6, yerr=(below, above), capsize=4, color=colors)
    axis.set_xticks(places, [row["attack"] for row in rows])


def draw_accuracy(report: Report, path: str) -> None:
    """Writes `accuracy_figure`."""
    files.write_figure(accuracy_figure(report), path)


def draw_images(report: Report, path: str) -> None:
    """For each attack a few images at its last epsilon: clean, attacked, the difference magnified.

    Titles are labels above clean images, and predictions above attacked ones.
    """
    pictures = {name: kept for (name, _), kept in report.pictures.items() if kept}
    columns = max((len(kept) for kept in pictures.values()), default=1)
    rows = 3 * max(1, len(pictures))
    figure, axes = panels(rows, 1, (1.1 * columns + 1, 1.2 * rows))
    axes = axes[:, 0]
    for axis in axes:
        axis.axis("off")
    for top, (name, kept) in zip(range(0, rows, 3), pictures.items(), strict=False):
        labels, found, clean, attacked = zip(*kept, strict=True)
        factors = [0.5 / picture.scale for picture in kept]
        grown = [picture.difference for picture in kept]
        first, *others = map(str, labels)
        _show(axes[top], clean, [f"{name}: {first}", *others], columns)
        _show(axes[top + 1], attacked, [f"as {label}" for label in found], columns)
        _show(axes[top + 2], grown, [f"x {factor:.2g}" for factor in factors], columns)
    files.write_figure(figure, path)


def _show(axis: Axes, images: Sequence[np.ndarray], titles: list[str], columns: int) -> None:
    """Draws a row of images as one picture, many times faster than one axis per image."""
    seen = is_image(images[0])
    height, width, channels = images[0].shape if seen else (1, 1, 1)  # others have titles only
    pitch = width + max(1, width // 5)
    strip = np.ones((height, pitch * columns, channels))
    for column, (image, title) in enumerate(zip(images, titles, strict=True)):
        if seen:
            strip[:, column * pitch :][:, :width] = np.clip(image, 0, 1)
        middle = column * pitch + (width - 1) / 2
        axis.text(middle, -1, title, fontsize=7, ha="center", va="bottom")
    axis.imshow(strip[..., 0] if channels == 1 else strip, cmap="gray", vmin=0, vmax=1)
