"""The pictures of a report: accuracy against epsilon, and what attacks made of images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robust_sparse_tf import files
from robust_sparse_tf.evaluation.report import Report


def draw_accuracy(report: Report, path: str) -> None:
    """Accuracy against epsilon, a line an attack, with its intervals."""
    rows = report.rows()
    clean = next(row for row in rows if row["attack"] == "clean")
    figure = Figure(figsize=(7.5, 4))
    axis = figure.subplots()
    bound = [(row["attack"], row["epsilon"], row) for row in rows if row["epsilon"] is not None]
    for name in dict.fromkeys(attack for attack, _, _ in bound):
        points = sorted(((r, row) for a, r, row in bound if a == name), key=lambda pair: pair[0])
        radii, own = zip((0.0, clean), *points, strict=True)
        color, width, marker = ("black", 2.0, "") if name == "worst" else (None, None, "o")
        values = [row["accuracy"] for row in own]
        axis.plot(radii, values, label=name, color=color, linewidth=width, marker=marker)
        lows, highs = [row["low"] for row in own], [row["high"] for row in own]
        axis.fill_between(radii, lows, highs, alpha=0.1, color=color)
    axis.set_ylim(0, 1)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_xlabel("epsilon")
    axis.set_ylabel(f"accuracy, {100 * report.level:g} % intervals")
    if axis.lines:
        axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))
    files.write_figure(figure, path)


def draw_images(report: Report, path: str) -> None:
    """For each attack a few images: clean, attacked, and the difference magnified.

    Labels are above the clean, predictions above the attacked ones.
    """
    pictures = {name: kept for name, kept in report.pictures.items() if kept}
    columns = max((len(kept) for kept in pictures.values()), default=1)
    rows = 3 * max(1, len(pictures))
    figure = Figure(figsize=(1.1 * columns + 1, 1.2 * rows))
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for axis in axes:
        axis.axis("off")
    for top, (name, kept) in zip(range(0, rows, 3), pictures.items(), strict=False):
        labels, found, clean, attacked = zip(*kept, strict=True)
        changes = [after - before for before, after in zip(clean, attacked, strict=True)]
        factors = [0.5 / max(np.abs(change).max(), 1e-12) for change in changes]
        grown = [0.5 + factor * change for factor, change in zip(factors, changes, strict=True)]
        first, *others = map(str, labels)
        _show(axes[top], clean, [f"{name}: {first}", *others], columns)
        _show(axes[top + 1], attacked, [f"as {label}" for label in found], columns)
        _show(axes[top + 2], grown, [f"x {factor:.2g}" for factor in factors], columns)
    files.write_figure(figure, path)


def _show(axis: Axes, images: Sequence[np.ndarray], titles: list[str], columns: int) -> None:
    """A row of images as one picture, which is drawn many times faster than an axis for each."""
    shape = images[0].shape
    seen = len(shape) == 3 and shape[-1] in (1, 3)
    height, width, channels = shape if seen else (1, 1, 1)  # of others there are the titles
    pitch = width + max(1, width // 5)
    strip = np.ones((height, pitch * columns, channels))
    for column, (image, title) in enumerate(zip(images, titles, strict=True)):
        if seen:
            strip[:, column * pitch :][:, :width] = np.clip(image, 0, 1)
        middle = column * pitch + (width - 1) / 2
        axis.text(middle, -1, title, fontsize=7, ha="center", va="bottom")
    axis.imshow(strip[..., 0] if channels == 1 else strip, cmap="gray", vmin=0, vmax=1)
