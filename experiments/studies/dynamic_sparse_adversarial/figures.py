"""Figures 3, 4 and 5 of "Dynamic Sparse Adversarial Training", of our runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.studies import pictures
from experiments.studies.dynamic_sparse_adversarial.numbers import Curve
from experiments.studies.dynamic_sparse_adversarial.protocol import EPSILONS, METHODS, TRAININGS
from robust_sparse_tf.drawing import COLORS, legend_below, panels

MAPS = {
    "guided": "Figure 4: guided backpropagation",
    "grad_cam": "Figure 5: Grad-CAM of the last convolution",
}
"""Titles of the figures of explanations, by kind of map."""


def figure_3(folder: str, place: str, found: Sequence[Curve]) -> list[str]:
    """Draws validation accuracy against epochs; returns Markdown, [] for no line.

    Args:
        folder: folder of the sweep.
        place: folder in it for the figures.
        found: the lines.
    """
    if not found:
        return []
    figure, axes = panels(3, 2, (9, 10))
    for row, epsilon in zip(axes, EPSILONS, strict=True):
        for axis, attack in zip(row, ("fgsm", "pgd"), strict=True):
            own = [each for each in found if (each.attack, each.epsilon) == (attack, epsilon)]
            for each in own:
                color = COLORS[list(METHODS).index(each.method)]
                name = METHODS[each.method]
                axis.plot(each.epochs, each.clean, "-", color=color, label=name)
                axis.plot(each.epochs, each.robust, ":", color=color, label=f"{name}, attacked")
                axis.axvline(each.change, color="gray", ls=":", lw=1)
            axis.set_title(f"{TRAININGS[attack]}, epsilon {epsilon}", fontsize="small")
            axis.set(xlabel="epoch", ylabel="validation accuracy (%)", ylim=(0, 101))
            if own:
                legend_below(axis, columns=2)
    title = "Figure 3: ResNet-50 on CIFAR-10"
    return pictures.saved(folder, place, "figure_3", title, figure)


def explanations(folder: str, place: str, found: Mapping[str, Any]) -> list[str]:
    """Draws figures 4 and 5, each on the clean and on the attacked image; returns Markdown.

    Args:
        folder: folder of the sweep.
        place: folder in it for the figures.
        found: see `explanations.Found`; {} if it was not made.
    """
    lines = []
    for kind, title in MAPS.items():
        shown = found.get("shown", {})
        if not shown:
            continue
        rows, columns = len(METHODS), len(TRAININGS)
        figure, axes = panels(rows, 2 * columns + 1, (2 * columns * 1.7, rows * 1.8))
        for row, method in zip(axes, METHODS, strict=True):
            for axis in row:
                axis.set(xticks=[], yticks=[])
            row[0].imshow(np.array(found["image"], "uint8"))
            row[0].set_ylabel(METHODS[method])
            for number, training in enumerate(TRAININGS):
                own = shown.get(f"{method}/{training}", {}).get(kind, {})
                for axis, state in zip(row[1 + 2 * number :], ("clean", "attacked"), strict=False):
                    axis.set_title(f"{TRAININGS[training]}, {state}", fontsize=7)
                    if own:
                        axis.imshow(np.array(own[state]), cmap="magma", vmin=0, vmax=255)
        lines += pictures.saved(folder, place, kind, title, figure)
    return lines
