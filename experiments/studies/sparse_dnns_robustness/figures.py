"""Figures of "Sparse DNNs with Improved Adversarial Robustness" (2018), of our runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.studies.sparse_dnns_robustness.numbers import Series
from experiments.studies.sparse_dnns_robustness.protocol import NETWORKS
from robust_sparse_tf import files
from robust_sparse_tf.drawing import legend_below, panels
from robust_sparse_tf.method_table import deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Panel(NamedTuple):
    """A panel: its title, the name of its axis, and measures by label."""

    title: str
    unit: str
    curves: dict[str, str]
    largest: float | None = None


class _Figure(NamedTuple):
    """A figure: its title in the paper, our models in it, and its panels."""

    title: str
    models: tuple[str, ...]
    panels: tuple[_Panel, ...]


_LINEAR, _DEEP = ("binary_linear", "linear"), ("mlp", "lenet5")
_ROBUST, _DISTANCE = "accuracy under attack", "mean l2 distance (pixels in [0, 1])"
# The bounds on r_inf are above 1 for most networks, and so vacuous.
FIGURES = {
    "figure_1": _Figure(
        "Figure 1: linear models",
        _LINEAR,
        (
            _Panel(
                "r_inf",
                _ROBUST,
                {"FGS": "r_inf_fgsm", "rFGS": "r_inf_rfgsm", "bound": "bound_r_inf"},
                largest=1.0,
            ),
            _Panel("r_2, DeepFool", _DISTANCE, {"DeepFool": "r_2_deepfool", "bound": "bound_r_2"}),
            _Panel("r_2, Carlini-Wagner", _DISTANCE, {"Carlini-Wagner": "r_2_carlini_wagner"}),
        ),
    ),
    "figure_2": _Figure(
        "Figure 2 (a) to (d): deep networks",
        _DEEP,
        (
            _Panel("r_inf, FGS", _ROBUST, {"FGS": "r_inf_fgsm"}),
            _Panel("r_2, DeepFool", _DISTANCE, {"DeepFool": "r_2_deepfool"}),
            _Panel("clean images", "accuracy (%)", {"accuracy": "accuracy"}),
        ),
    ),
    "figure_3": _Figure(
        "Figure 3: deep networks under rFGS and Carlini-Wagner",
        _DEEP,
        (
            _Panel("r_inf, rFGS", _ROBUST, {"rFGS": "r_inf_rfgsm"}),
            _Panel("r_2, Carlini-Wagner", _DISTANCE, {"Carlini-Wagner": "r_2_carlini_wagner"}),
        ),
    ),
    "table_3": _Figure(
        "Table 3: CLEVER scores, drawn",
        _DEEP,
        (_Panel("CLEVER", _DISTANCE, {"CLEVER": "clever"}),),
    ),
    "lemma_3_1": _Figure(
        "Lemma 3.1: local Lipschitz constants",
        _DEEP,
        (
            _Panel("q = 2", "constant", {"L_2": "lipschitz_l2"}),
            _Panel("q = 1", "constant", {"L_1": "lipschitz_linf"}),
        ),
    ),
}


def draw(folder: str, found: Mapping[str, Series], place: str) -> list[str]:
    """Draws the figures of networks with several rounds; returns Markdown that shows them.

    Args:
        folder: folder of the sweep.
        found: see `numbers.series`, by model.
        place: folder in it for the figures.
    """
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    lines: list[str] = []
    for name, (title, models, shown) in FIGURES.items():
        own = {model: found[model] for model in models if len(found.get(model, [])) > 1}
        if not own:
            continue
        figure, axes = panels(len(own), len(shown), (4.5 * len(shown), 3.2 * len(own)))
        for row, (model, series) in zip(axes, own.items(), strict=True):
            for axis, panel in zip(row, shown, strict=True):
                _draw(axis, panel, NETWORKS[model], series)
        path = os.path.join(place, f"{name}.png")
        files.write_figure(figure, os.path.join(folder, path))
        lines += [f"{title}, against the share of weights pruned:", "", f"![{title}]({path})", ""]
    heading = ["## Figures", "", "A mark is a round that was measured.", ""]
    return [*heading, *lines] if lines else []


def _draw(axis: Axes, panel: _Panel, network: str, series: Series) -> None:
    """Draws means over references with their spread; remaining weights on a logarithmic axis."""
    for label, name in panel.curves.items():
        own = [entry for entry in series if name in entry.trials]
        if own:
            remaining = [100 * (1 - entry.sparsity) for entry in own]
            trials = [entry.values(name) for entry in own]
            means = [np.mean(values) for values in trials]
            if panel.largest and min(means) > panel.largest:
                continue
            stds = [deviation(values) or 0 for values in trials]
            numbers = [entry.round for entry in own]
            line = "-" if numbers == list(range(numbers[0], numbers[-1] + 1)) else ""
            bound = name.startswith("bound")
            style = dict(fmt="k--") if bound else dict(fmt=f"o{line}", markersize=3, capsize=2)
            axis.errorbar(remaining, means, stds, label=label, lw=1, **style)
    axis.set_title(f"{network}: {panel.title}", fontsize="medium")
    if not axis.has_data():
        axis.set_visible(False)  # not measured
        return
    axis.set_xscale("log")
    axis.invert_xaxis()
    ticks = [tick for tick in (100, 30, 10, 3, 1, 0.3) if tick >= 0.9 * axis.get_xlim()[1]]
    axis.set_xticks(ticks, [f"{100 - tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("weights pruned (%)")
    axis.set_ylabel(panel.unit, fontsize="medium" if len(panel.unit) < 25 else "small")
    if panel.largest:
        axis.set_ylim(top=min(panel.largest, axis.get_ylim()[1]))
    axis.grid(alpha=0.3)
    if len(panel.curves) > 1:
        legend_below(axis)
