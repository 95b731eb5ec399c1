"""Pictures of a report: accuracy against epsilon, and images with what attacks made of them."""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robust_sparse_tf import files
from robust_sparse_tf.evaluation.report import Report


def save(report: Report, folder: str) -> None:
    """Writes report.json, report.csv, report.md, accuracy.png and images.png into a folder.

    Raises:
        OSError: naming the file that cannot be written.
    """
    os.makedirs(folder, exist_ok=True)
    texts = {
        "report.csv": report.to_csv(),
        "report.md": report.to_markdown(),
        "report.json": report.to_json(),
    }
    for name, text in texts.items():
        with files.complete(os.path.join(folder, name)) as file:
            file.write(text.encode())
    for name, draw in (("accuracy.png", draw_accuracy), ("images.png", draw_images)):
        path = os.path.join(folder, name)
        with files.naming(path):
            draw(report, path)


def draw_accuracy(report: Report, path: str) -> None:
    """Accuracy against epsilon, a line an attack, with its intervals."""
    rows = report.rows()
    clean = next(row for row in rows if row["attack"] == "clean")
    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    for name in dict.fromkeys(row["attack"] for row in rows if row["epsilon"] is not None):
        own = [row for row in rows if row["attack"] == name and row["epsilon"] is not None]
        own = [{**clean, "epsilon": 0.0}, *sorted(own, key=lambda row: row["epsilon"])]
        radii, values = ([row[key] for row in own] for key in ("epsilon", "accuracy"))
        style = dict(color="black", linewidth=2) if name == "worst" else dict(marker="o")
        axis.plot(radii, values, label=name, **style)
        lows, highs = ([row[key] for row in own] for key in ("low", "high"))
        axis.fill_between(radii, lows, highs, alpha=0.1, color=style.get("color"))
    axis.set_ylim(0, 1)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_xlabel("epsilon")
    axis.set_ylabel(f"accuracy, {100 * report.level:g} % intervals")
    if axis.lines:
        axis.legend(fontsize="small")
    _write(figure, path)


def draw_images(report: Report, path: str) -> None:
    """For each attack a few images: clean, attacked, and the difference magnified.

    Labels are above the clean, predictions above the attacked ones.
    """
    pictures = {name: kept for name, kept in report.pictures.items() if kept}
    columns = max((len(kept) for kept in pictures.values()), default=1)
    size = (1.1 * columns + 1, 1.2 * 3 * max(1, len(pictures)))
    figure = Figure(figsize=size)
    axes = figure.subplots(3 * max(1, len(pictures)), columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for band, (name, kept) in enumerate(pictures.items()):
        for column, (label, found, clean, attacked) in enumerate(kept):
            top, middle, bottom = axes[3 * band : 3 * band + 3, column]
            change = attacked - clean
            factor = 0.5 / max(np.abs(change).max(), 1e-12)
            _show(top, clean, f"{name}: {label}" if column == 0 else str(label))
            _show(middle, attacked, f"as {found}")
            _show(bottom, 0.5 + factor * change, f"x {factor:.2g}")
    _write(figure, path)


def _show(axis: Axes, image: np.ndarray, title: str) -> None:
    if image.ndim == 3 and image.shape[-1] in (1, 3):
        grey = image.shape[-1] == 1
        axis.imshow(np.clip(image[..., 0] if grey else image, 0, 1), cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=7)


def _write(figure: Figure, path: str) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
