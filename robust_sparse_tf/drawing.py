"""Figures with panels, drawn without a screen; matplotlib takes a second to load, and waits."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _refuse(error: Exception) -> None:
    raise InputError(
        "matplotlib is not installed; pip install 'robust_sparse_tf[plot]' brings it"
    ) from error


with epy.lazy_imports(error_callback=_refuse):
    import matplotlib as mpl
    from matplotlib import figure, ticker

# Those of Okabe and Ito ("Color Universal Design", 2008), which the colour-blind tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dv<>PX"
DPI = 150


def panels(
    rows: int, columns: int, size: tuple[float, float], constrained: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, [rows, columns], with colours for the colour-blind.

    Args:
        rows: panels from top to bottom.
        columns: panels from left to right.
        size: width and height of the figure in inches.
        constrained: whether matplotlib lays it out at once, for what lies over several panels;
            otherwise it is laid out tightly when it is written.
    """
    made = figure.Figure(figsize=size, dpi=DPI, layout="constrained" if constrained else None)
    # By it notebooks show a figure that is not pyplot's.
    setattr(made, "_repr_png_", functools.partial(_png, made))  # noqa: B010
    axes = made.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_prop_cycle(color=COLORS)
    return made, axes


def legend_below(axis: Axes, columns: int = 3, title: str | None = None) -> None:
    """A legend below the panel, where it covers no line."""
    axis.legend(
        title=title,
        fontsize="small",
        ncols=columns,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
    )


def legend_beside(axis: Axes, title: str | None = None) -> None:
    """A legend to the right of the panel, where it covers no line."""
    axis.legend(title=title, fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))


def viridis(share: float) -> tuple[float, float, float, float]:
    """The color of a share in [0, 1], dark to bright."""
    return mpl.colormaps["viridis"](share)


def percent_ticks() -> ticker.PercentFormatter:
    """Ticks that show fractions as percent."""
    return ticker.PercentFormatter(1)


def whole_ticks() -> ticker.MaxNLocator:
    """Ticks at whole numbers alone."""
    return ticker.MaxNLocator(integer=True)


def is_figure(value: object) -> bool:
    """Whether a value is a matplotlib figure."""
    return isinstance(value, figure.Figure)


def _png(drawn: Figure) -> bytes:
    content = io.BytesIO()
    drawn.savefig(content, format="png", bbox_inches="tight")
    return content.getvalue()
