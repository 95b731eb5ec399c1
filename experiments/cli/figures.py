"""Figures with panels, drawn without a screen; matplotlib takes a second to load, and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from etils import epy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

with epy.lazy_imports():
    import matplotlib as mpl
    from matplotlib import figure, ticker


def panels(
    rows: int, columns: int, size: tuple[float, float], constrained: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, [rows, columns].

    Args:
        rows: panels from top to bottom.
        columns: panels from left to right.
        size: width and height of the figure in inches.
        constrained: whether matplotlib lays it out at once, for what lies over several panels;
            otherwise it is laid out tightly when it is written.
    """
    made = figure.Figure(figsize=size, layout="constrained" if constrained else None)
    return made, made.subplots(rows, columns, squeeze=False)


def viridis(share: float) -> tuple[float, float, float, float]:
    """The color of a share in [0, 1], dark to bright."""
    return mpl.colormaps["viridis"](share)


def percent_ticks() -> ticker.PercentFormatter:
    """Ticks that show fractions as percent."""
    return ticker.PercentFormatter(1)
