"""Figures 1 to 3 of "Sparse DNNs with Improved Adversarial Robustness" (2018), of our runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.cli.figures import panels
from experiments.cli.tables import deviation
from experiments.studies.sparse_dnns_robustness.numbers import Series
from experiments.studies.sparse_dnns_robustness.protocol import NETWORKS
from robust_sparse_tf import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# For each figure its title and its panels: a title, and the measures by their labels.
_R_INF = {"FGS": "r_inf_fgsm", "rFGS": "r_inf_rfgsm"}
_R_2 = {"DeepFool": "r_2_deepfool", "Carlini-Wagner": "r_2_carlini_wagner"}
_FIGURES = {
    "figure_1": (
        "Linear models",
        ("binary_linear", "linear"),
        {
            "r_inf": _R_INF | {"bound (theorems 3.1, 3.2)": "bound_r_inf"},
            "r_2": _R_2 | {"bound (theorems 3.1, 3.2)": "bound_r_2"},
        },
    ),
    "figure_2": (
        "Deep networks",
        ("mlp", "lenet5"),
        {"r_inf": _R_INF, "r_2": _R_2, "accuracy (%)": {"accuracy": "accuracy"}},
    ),
    "figure_3": (
        "CLEVER, and lemma 3.1",
        ("mlp", "lenet5"),
        {
            "CLEVER": {"CLEVER": "clever"},
            "local Lipschitz constant, q = 2": {"L_2": "lipschitz_l2"},
            "local Lipschitz constant, q = 1": {"L_1": "lipschitz_linf"},
        },
    ),
}


def draw(folder: str, found: Mapping[str, Series], place: str) -> list[str]:
    """Draws the figures of the networks that are there; returns Markdown that shows them.

    Args:
        folder: the sweep's.
        found: see `numbers.series`, by model.
        place: the folder in it that gets the figures.
    """
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    lines = ["## Figures", "", "A mark is a round that was measured; lines only join marks.", ""]
    for name, (title, models, measures) in _FIGURES.items():
        own = {model: found[model] for model in models if found.get(model)}
        if not own:
            continue
        size = (4.5 * len(measures), 3.2 * len(own))
        figure, axes = panels(len(own), len(measures), size)
        for row, (model, series) in zip(axes, own.items(), strict=True):
            for axis, (measure, curves) in zip(row, measures.items(), strict=True):
                _panel(axis, f"{NETWORKS[model]}: {measure}", curves, series)
        figure.suptitle(f"{title}, against the share of weights pruned")
        path = os.path.join(place, f"{name}.png")
        files.write_figure(figure, os.path.join(folder, path))
        caption = f"{name.replace('_', ' ').capitalize()}: {title}"
        lines += [f"{caption}, against sparsity:", "", f"![{caption}]({path})", ""]
    return lines


def _panel(axis: Axes, title: str, curves: dict[str, str], series: Series) -> None:
    """Means over references with their spread; remaining weights on a logarithmic axis."""
    for label, name in curves.items():
        own = [entry for entry in series if name in entry.trials]
        if own:
            remaining = [100 * (1 - entry.sparsity) for entry in own]
            trials = [entry.values(name) for entry in own]
            means = [np.mean(values) for values in trials]
            stds = [deviation(values) or 0 for values in trials]
            bound = name.startswith("bound")
            style = dict(fmt="k--") if bound else dict(fmt="o-", markersize=3, capsize=2)
            axis.errorbar(remaining, means, stds, label=label, lw=1, **style)
    axis.set_title(title, fontsize="small")
    if not axis.has_data():
        axis.set_axis_off()  # not measured
        return
    axis.set_xscale("log")
    axis.invert_xaxis()
    ticks = [tick for tick in (100, 30, 10, 3, 1, 0.3) if tick >= 0.9 * axis.get_xlim()[1]]
    axis.set_xticks(ticks, [f"{100 - tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("weights pruned (%)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="x-small")
