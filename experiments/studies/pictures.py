"""Figures of reports: saved in a sweep's folder, and shown in Markdown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from robust_sparse_tf import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def saved(folder: str, place: str, name: str, title: str, figure: Figure) -> list[str]:
    """Saves a figure; returns Markdown that shows it.

    Args:
        folder: folder of the sweep.
        place: folder in it for the figures.
        name: name of the file, without its ending.
        title: title of the figure.
        figure: the figure.
    """
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    path = os.path.join(place, f"{name}.png")
    files.write_figure(figure, os.path.join(folder, path))
    return [f"{title}:", "", f"![{title}]({path})", ""]
