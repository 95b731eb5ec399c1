"""Figures with panels, drawn without a screen; matplotlib, which is slow, is imported late."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from etils import epy

from robust_sparse_tf.errors import not_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _refuse(error: Exception) -> None:
    raise not_installed("matplotlib", "plot") from error


with epy.lazy_imports(error_callback=_refuse):
    import matplotlib as mpl
    from matplotlib import figure, ticker

# Colour-blind safe: Okabe and Ito, "Color Universal Design" (2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dv<>PX"
DPI = 150


def panels(
    rows: int, columns: int, size: tuple[float, float], constrained: bool = False
) -> tuple[Figure, np.ndarray]:
    """Makes a figure and its axes, [rows, columns], with colour-blind safe colours.

    Args:
        rows: panels from top to bottom.
        columns: panels from left to right.
        size: width and height of the figure in inches.
        constrained: whether to use matplotlib's constrained layout, for artists that span several
            panels; otherwise the layout is made tight when the figure is saved.
    """
    made = figure.Figure(figsize=size, dpi=DPI, layout="constrained" if constrained else None)
    # Notebooks need this to show a figure that is not made by pyplot.
    setattr(made, "_repr_png_", functools.partial(_png, made))  # noqa: B010
    axes = made.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_prop_cycle(color=COLORS)
    return made, axes


def legend_below(axis: Axes, columns: int = 3, title: str | None = None) -> None:
    """Puts a legend below the panel, where it covers no line."""
    axis.legend(
        title=title,
        fontsize="small",
        ncols=columns,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
    )


def legend_beside(axis: Axes, title: str | None = None) -> None:
    """Puts a legend to the right of the panel, where it covers no line."""
    axis.legend(title=title, fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))


def viridis(share: float) -> tuple[float, float, float, float]:
    """The color of a fraction in [0, 1], from dark to bright."""
    return mpl.colormaps["viridis"](share)


def plain_log_scale(panel: Axes) -> None:
    """Makes the x axis logarithmic, with plain numbers at 1, 2 and 5 times the powers of ten."""
    panel.set_xscale("log")
    axis = panel.xaxis
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def percent_ticks() -> ticker.PercentFormatter:
    """Shows fractions as percent on an axis."""
    return ticker.PercentFormatter(1)


def whole_ticks() -> ticker.MaxNLocator:
    """Puts ticks at whole numbers only."""
    return ticker.MaxNLocator(integer=True)


def is_figure(value: object) -> bool:
    """Whether a value is a matplotlib figure."""
    return isinstance(value, figure.Figure)


def _png(drawn: Figure) -> bytes:
    content = io.BytesIO()
    drawn.savefig(content, format="png", bbox_inches="tight")
    return content.getvalue()
