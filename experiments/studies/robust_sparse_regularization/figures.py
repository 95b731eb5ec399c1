"""Figures 1 and 2 of "Robust Sparse Regularization" (2019), of our runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.evaluations.stored import Weights
from experiments.studies import pictures
from experiments.studies.robust_sparse_regularization.protocol import ATTACKS, NETWORKS
from robust_sparse_tf.drawing import COLORS, MARKERS, legend_below, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAININGS = {"clean": "clean", "pgd": "adversarial (PGD)", "rsr": "RSR"}
"""The networks of figures 1 and 2 (c)."""


def figure_1(folder: str, place: str, found: Mapping[str, Weights]) -> list[str]:
    """Draws the weights of the second convolution; returns Markdown.

    Args:
        folder: folder of the sweep.
        place: folder in it for the figures.
        found: weights by key of `TRAININGS`, at least one.
    """
    figure, axes = panels(1, len(found), (4 * len(found), 3))
    for axis, color, (kind, own) in zip(axes[0], COLORS, found.items(), strict=False):
        edges, counts = np.array(own["edges"]), np.array(own["counts"])
        share = 100 * counts / max(1, counts.sum())
        axis.bar(edges[:-1], share, np.diff(edges), align="edge", color=color)
        axis.set(xlabel="weight", ylabel="share of weights (%)")
        axis.set_title(TRAININGS[kind], fontsize="small")
    title = "Figure 1: weights of the second convolution of ResNet-18"
    return pictures.saved(folder, place, "figure_1", title, figure)


def figure_2(
    folder: str,
    place: str,
    sparsities: Mapping[str, Sequence[tuple[float, float]]],
    lambdas: Mapping[float, Mapping[str, float]],
    weights: Mapping[str, Weights],
) -> list[str]:
    """Draws the parts of figure 2 that have numbers; returns Markdown, [] for none.

    Args:
        folder: folder of the sweep.
        place: folder in it for the figures.
        sparsities: sparsity and PGD accuracy by model, in percent.
        lambdas: accuracies by lambda and attack, in percent.
        weights: weights by key of `TRAININGS`.
    """
    drawn = {
        "a": any(len(points) > 1 for points in sparsities.values()),
        "b": len(lambdas) > 1,
        "c": bool(weights),
    }
    names = [name for name, own in drawn.items() if own]
    if not names:
        return []
    figure, axes = panels(1, len(names), (5 * len(names), 4))
    by_name = dict(zip(names, axes[0], strict=True))
    if "a" in by_name:
        _by_sparsity(by_name["a"], sparsities)
    if "b" in by_name:
        _by_lambda(by_name["b"], lambdas)
    if "c" in by_name:
        _below(by_name["c"], weights)
    title = f"Figure 2 ({'), ('.join(names)})"
    return pictures.saved(folder, place, "figure_2", title, figure)


def _by_sparsity(axis: Axes, found: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    for marker, (model, points) in zip(MARKERS, found.items(), strict=False):
        if points:
            axis.plot(*zip(*points, strict=True), f"{marker}-", label=NETWORKS[model])
    axis.set(xlabel="weights that are 0 (%)", ylabel="accuracy under PGD (%)", title="(a) RSR")
    legend_below(axis)


def _by_lambda(axis: Axes, found: Mapping[float, Mapping[str, float]]) -> None:
    places = range(len(found))
    for marker, attack in zip(MARKERS, ("none", "pgd"), strict=False):
        points = [
            (n, own[attack]) for n, own in zip(places, found.values(), strict=True) if attack in own
        ]
        if points:
            axis.plot(*zip(*points, strict=True), f"{marker}-", label=ATTACKS[attack])
    axis.set_xticks(list(places), [f"{weight:g}" for weight in found])
    axis.set(xlabel="lambda", ylabel="accuracy (%)", title="(b) ResNet-20, RSR")
    legend_below(axis)


def _below(axis: Axes, found: Mapping[str, Weights]) -> None:
    for marker, (kind, own) in zip(MARKERS, found.items(), strict=False):
        gammas = [float(gamma) for gamma in own["below"]]
        shares = [100 * share for share in own["below"].values()]
        axis.plot(gammas, shares, f"{marker}-", label=TRAININGS[kind])
    axis.set(xscale="log", xlabel="gamma", ylabel="weights below gamma (%)")
    axis.set_title("(c) convolutions of ResNet-18")
    legend_below(axis)
