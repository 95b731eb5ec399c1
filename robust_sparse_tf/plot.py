"""Figures of reports, trainings, comparisons and sweeps, for notebooks and papers.

Each function returns a matplotlib figure of 150 dots per inch, which notebooks show. Colours are
colour-blind safe. `pip install 'robust_sparse_tf[plot]'` installs matplotlib.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etils import epy

from robust_sparse_tf import files
from robust_sparse_tf.drawing import (
    COLORS,
    MARKERS,
    is_figure,
    legend_beside,
    panels,
    percent_ticks,
    whole_ticks,
)
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.method_table import MethodRow, measures_of
from robust_sparse_tf.options import checked_path, require, shown

with epy.lazy_imports():
    from robust_sparse_tf.comparison import comparison as compared
    from robust_sparse_tf.evaluation import figures
    from robust_sparse_tf.evaluation import report as reports

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison", "history", "report", "save", "sweep"]

_DENSE = ("black", "gray", "saddlebrown", "navy", "darkgreen", "purple")
_ROWS = {
    "rows": [
        {
            "method": str,
            "settings": list,
            "density": (int, float),
            "seeds": int,
            "measures": {"*": {"mean": (int, float), "std": (int, float, type(None))}},
        }
    ]
}


def report(report: reports.Report) -> Figure:
    """Draws accuracy against epsilon, a line per attack, with intervals; bars for one epsilon.

    Args:
        report: a report of `rst.evaluate`.

    Raises:
        InputError: for anything else, or if matplotlib is not installed.
    """
    require("report", report, reports.Report)
    return figures.accuracy_figure(report)


def history(history: Any) -> Figure:
    """Draws accuracies by epoch, clean and under the training attack, and logged densities.

    Args:
        history: what `fit` returns, or its `history`: lists with one number per epoch. The callback
            `SparsityLog` logs the density.

    Raises:
        InputError: for anything else, a history without accuracies and densities, or if matplotlib
            is not installed.
    """
    logs = getattr(history, "history", history)
    if not isinstance(logs, Mapping):
        raise InputError(f"history={shown(history)}: must be what fit returns")
    names = [[n for n in logs if n.endswith(end)] for end in ("accuracy", "density")]
    found = [own for own in names if own]
    if not found:
        raise InputError(f"history={shown(list(logs))}: has no accuracy and no density to draw")
    figure, axes = panels(1, len(found), (6.5 * len(found), 3.5), constrained=True)
    for axis, own in zip(axes[0], found, strict=True):
        _draw_logs(axis, {name: logs[name] for name in own})
    return figure


def comparison(comparison: compared.Comparison) -> Figure:
    """Draws accuracies of each method: means with standard deviations, and a dot per seed.

    Args:
        comparison: a comparison of `rst.compare`.

    Raises:
        InputError: for anything else, or if matplotlib is not installed.
    """
    require("comparison", comparison, compared.Comparison)
    rows, methods = comparison.main_rows(), comparison.methods
    titles = list(dict.fromkeys(row["title"] for row in rows))
    figure, axes = panels(1, 1, (max(4.5, 1.4 * len(methods) + 2.5), 4), constrained=True)
    axis = axes[0, 0]
    for number, title in enumerate(titles):
        shift = 0.5 * (number - (len(titles) - 1) / 2) / len(titles)
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        own = [row for row in rows if row["title"] == title]
        places = [methods.index(row["method"]) + shift for row in own]
        for place, row in zip(places, own, strict=True):
            if len(row["values"]) > 1:
                dots = [place + 0.06] * len(row["values"])
                axis.plot(dots, row["values"], ".", color=color, alpha=0.5, markersize=4)
        means = [row["mean"] for row in own]
        stds = [math.nan if row["std"] is None else row["std"] for row in own]
        bars = None if all(map(math.isnan, stds)) else stds  # None for one seed
        axis.errorbar(places, means, bars, fmt=marker, color=color, label=title, capsize=4)
    densities = {row["method"]: row["mean"] for row in comparison.rows() if row["attack"] is None}
    labels = [f"{name}\n{100 * densities[name]:.3g} %" for name in methods]
    axis.set_xticks(range(len(methods)), labels)
    axis.set_xlim(-0.5, len(methods) - 0.5)
    axis.set_ylim(-0.02, 1.02)
    axis.yaxis.set_major_formatter(percent_ticks())
    axis.set(xlabel="method, density", ylabel="test accuracy")
    axis.set_title(comparison.over, fontsize="small")
    axis.grid(axis="y", alpha=0.3)
    legend_beside(axis)
    return figure


def sweep(folder: str) -> Figure:
    """Draws accuracies against density from a sweep: a panel per measure, a line per method.

    Args:
        folder: folder of a sweep, or of its stored report; holds report.json.

    Raises:
        InputError: for a folder without a report, for the report of a study, which has its own
            figures, or if matplotlib is not installed.
    """
    path = os.path.join(checked_path("folder", folder), "report.json")
    try:
        content = files.read_json(path)
        if "study" in content:
            raise InputError(f"folder={folder}: holds a study, whose figures are in its figures/")
        files.require_shape(content, _ROWS)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"folder={folder}: holds no report of a sweep ({error})") from error
    return by_density([MethodRow.from_json(row) for row in content["rows"]])


def by_density(rows: Sequence[MethodRow]) -> Figure:
    """Draws accuracies against density, a panel per measure, a line per name."""
    names = measures_of(rows)
    figure, axes = panels(1, len(names), (5 * len(names), 4))
    for axis, name in zip(axes[0], names, strict=True):
        _draw_measure(axis, name, [row for row in rows if name in row.measures])
        ticks = sorted({float(f"{r.density:.2g}") for r in rows if r.method != "dense"})
        axis.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(percent_ticks())
        axis.set_xlabel("density")
        axis.set_ylabel("test accuracy" if name == "clean" else f"test accuracy under {name}")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def save(figure: Figure, path: str) -> None:
    """Writes a figure as PNG (150 dots per inch) and, beside it, as PDF, for papers.

    Args:
        figure: from one of the functions above, or any matplotlib figure.
        path: path of either file, or without an ending.

    Raises:
        InputError: for anything else than a figure and a path.
        OSError: naming the file that cannot be written.
    """
    if not is_figure(figure):
        raise InputError(f"figure={shown(figure)}: must be a matplotlib Figure")
    path = checked_path("path", path)
    stem, ending = os.path.splitext(path)
    files.write_figure(figure, f"{stem if ending in ('.png', '.pdf') else path}.png")


def _draw_logs(axis: Axes, logs: Mapping[str, Sequence[float]]) -> None:
    """Draws lines by epoch: a colour per quantity; training is dashed if there is validation."""
    kinds = list(dict.fromkeys(name.removeprefix("val_") for name in logs))
    for name, values in logs.items():
        kind = name.removeprefix("val_")
        in_validation = name.startswith("val_")
        label = kind.replace("_", " ")
        if in_validation or f"val_{kind}" in logs:
            label += ", validation" if in_validation else ", training"
        axis.plot(
            range(1, len(values) + 1),
            values,
            label=label,
            color=COLORS[kinds.index(kind) % len(COLORS)],
            linestyle="--" if f"val_{name}" in logs else "-",
            marker="o" if len(values) < 20 else "",
            markersize=4,
        )
    axis.set(xlabel="epoch", ylabel=kinds[0].split("_")[-1], ylim=(-0.02, 1.02))
    axis.yaxis.set_major_formatter(percent_ticks())
    axis.xaxis.set_major_locator(whole_ticks())
    axis.grid(alpha=0.3)
    if len(logs) > 1:
        legend_beside(axis)


def _draw_measure(axis: Axes, name: str, rows: Sequence[MethodRow]) -> None:
    colors = itertools.cycle(_DENSE)  # dense networks are lines without markers
    for name_of in dict.fromkeys(row.name for row in rows):
        own = [row for row in rows if row.name == name_of]
        means = [row.measures[name].mean for row in own]
        stds = [row.measures[name].std or 0 for row in own]
        bars = stds if any(stds) else None  # None for one seed
        densities = [row.density for row in own]
        if own[0].method == "dense":
            axis.axhline(means[0], color=next(colors), linestyle="--", label=name_of)
        else:
            axis.errorbar(densities, means, bars, marker="o", label=name_of, capsize=3)
    axis.set_xscale("log")
    axis.invert_xaxis()


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
