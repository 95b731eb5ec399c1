"""Figures 13 to 15: distributions of the weights that winning tickets are rewound to.

A curve is a kernel density estimate (SciPy's, with Scott's bandwidth), whose area is 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epy

from experiments.studies.cells import nearest_round
from experiments.studies.search_sparse_robust.protocol import DENSITIES
from experiments.sweeps import trials
from experiments.sweeps.directory import Cell
from robust_sparse_tf.drawing import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

with epy.lazy_imports():
    from scipy import stats

    from robust_sparse_tf import procedures

_POINTS = 41
_MOST = 5000  # weights for the estimate of a curve, evenly sampled

_Curve = dict[str, list[float]]
_Ticket = Mapping[str, Mapping[str, _Curve]]
""""x" and "y" of curves, by density (percent, as a string) and layer."""


def curves(folder: str, cells: Sequence[Cell]) -> dict[str, _Ticket]:
    """The curves of cells, by name.

    They are computed from the cells' checkpoints, and stored in the sweep's folder for when the
    checkpoints are deleted.
    """
    known = trials.drawn(folder)
    found = {cell.name: _of_cell(cell) or known.get(cell.name, {}) for cell in cells}
    found = {name: ticket for name, ticket in found.items() if ticket}
    if found != known:
        trials.write_drawn(folder, known | found)
    return found


def draw(tickets: Mapping[str, _Ticket], titles: Mapping[str, str]) -> Figure:
    """A row per cell, a panel per density, a curve per layer.

    Args:
        tickets: see `curves`; at least one.
        titles: of the cells, by their names.
    """
    columns = [f"{percent:g}" for percent in DENSITIES]
    columns = [name for name in columns if any(name in own for own in tickets.values())]
    size = (2.4 * len(columns) + 1, 2 * len(tickets) + 0.6)
    figure, axes = panels(len(tickets), len(columns), size, constrained=True)
    for row, (name, own) in zip(axes, tickets.items(), strict=True):
        for axis, percent in zip(row, columns, strict=True):
            for layer, curve in own.get(percent, {}).items():
                axis.plot(curve["x"], curve["y"], label=layer, lw=1)
            axis.set_yticks([])
            axis.locator_params(axis="x", nbins=3)
            axis.set_title(f"{percent} % of the weights", fontsize="medium")
        row[0].set_ylabel(f"{titles[name]}\ndensity", fontsize="small")
    for axis in axes[-1]:
        axis.set_xlabel("weight")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def _of_cell(cell: Cell) -> _Ticket:
    kernels = _rewound(cell)
    numbers = {f"{p:g}": nearest_round(cell, p) for p in DENSITIES} if kernels else {}
    return {
        name: {layer: _curve(kernels[layer][mask]) for layer, mask in _masks(cell, number).items()}
        for name, number in numbers.items()
        if number is not None
    }


def _curve(weights: np.ndarray) -> _Curve:
    """The curve between the 0.25 % and 99.75 % quantiles; none for fewer than three weights."""
    if len(weights) < 3 or np.ptp(weights) == 0:
        return {"x": [], "y": []}
    first, last = np.quantile(weights, [0.0025, 0.9975])
    x = np.linspace(first, last, _POINTS)
    taken = weights[:: -(-len(weights) // _MOST)]
    y = stats.gaussian_kde(taken)(x)
    return {"x": _rounded(x), "y": _rounded(y)}


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _rewound(cell: Cell) -> dict[str, np.ndarray]:
    """The kernels, by layer, that rounds are rewound to; {} if no checkpoint is left."""
    path = os.path.join(cell.path, "checkpoints")
    store = procedures.CheckpointStore
    stored = store(path, read_only=True).load() if os.path.isdir(path) else None
    if stored is None:
        return {}
    arrays = [stored[0][name] for name in sorted(stored[0]) if name.startswith("rewind/")]
    kernels = [array for array in arrays if array.ndim > 1]
    return dict(zip(_masks(cell, 0), kernels, strict=True))


def _masks(cell: Cell, number: int) -> dict[str, np.ndarray]:
    with np.load(os.path.join(cell.path, "rounds", str(number), "masks.npz")) as file:
        return {name: file[name] for name in file.files}
