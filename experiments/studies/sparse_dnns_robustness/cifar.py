"""Figure 2 (e) to (h) of "Sparse DNNs with Improved Adversarial Robustness": CIFAR-10."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.reports.measures import Measured
from experiments.reports.summary import HELD, NOT_HELD, Judged
from experiments.studies import claims, pictures
from experiments.studies.cells import select
from experiments.studies.claims import UNTESTED, Claim
from experiments.studies.protocol import Part
from experiments.studies.sparse_dnns_robustness.protocol import CIFAR
from experiments.sweeps.directory import Cell
from robust_sparse_tf.drawing import MARKERS, legend_below, panels
from robust_sparse_tf.method_table import deviation
from robust_sparse_tf.texts import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = 62_812 + 15 * 7660
"""Training steps of a reference in full, in 16 rounds."""

READ = (
    "The paper's text has no epsilon, rounds, epochs or optimizer of CIFAR-10: those are ours, "
    "r_inf at 8/255 and 0.1. First and last layer stay dense. Of ResNets the paper disregards "
    "DeepFool's second and further steps: here images on which DeepFool fails count by its first "
    "step, with their share, and as distance 0 beside. It prints no numbers of these networks "
    "except mean accuracies of the references, 93.01 % and 92.89 %."
)
"""How the text was read."""

_TITLES = {
    "accuracy": "accuracy (%)",
    "r_2_deepfool_first": "r_2 DeepFool, first step where it fails",
    "r_2_deepfool": "r_2 DeepFool, 0 where it fails",
    "deepfool_missed": "DeepFool fails (%)",
    "r_2_carlini_wagner": "r_2 Carlini-Wagner",
}
_PERCENT = ("accuracy", "deepfool_missed")
_OF_RADIUS = ("r_inf_fgsm", "r_inf_rfgsm")

Numbers = dict[str, list[float]]
"""The measures of a round: a value per reference, in the unit of the table."""


def tables(
    cells: Sequence[Cell], place: str, *, measured: Mapping[str, Measured], folder: str
) -> Part:
    """The rounds, the figure and the claims of cells with the same settings.

    Args:
        cells: finished cells.
        place: folder for figures, in that of the sweep.
        measured: measures of each cell, by name.
        folder: folder of the sweep.
    """
    found = {model: _rounds(select(cells, model=model), measured) for model in CIFAR}
    lines = ["## Figure 2 (e) to (h): CIFAR-10", ""]
    for model, name in CIFAR.items():
        own = found[model]
        lines += [f"{name}:", "", *_table(own), ""] if own else [f"{name}: not run.", ""]
    lines += _figure(folder, place, found)
    short = claims.is_short(cells, STEPS)
    held = claims.given_length([c for model in CIFAR for c in _claims(model, found[model])], short)
    lines += claims.markdown(held)
    rounds = {
        model: [{"sparsity": sparsity, "measures": own} for sparsity, own in entries]
        for model, entries in found.items()
    }
    content = {"cifar": rounds, "claims": [claim.as_json() for claim in held], "short": short}
    return lines, content


def _rounds(cells: Sequence[Cell], measured: Mapping[str, Measured]) -> list[tuple[float, Numbers]]:
    """Sparsity (percent) and measures of each round."""
    found: dict[int, Numbers] = {}
    sparsities: dict[int, float] = {}
    for cell in cells:
        for entry in cell.rounds:
            sparsities.setdefault(entry["round"], 100 * (1 - entry["density"]))
            own = found.setdefault(entry["round"], {})
            own.setdefault("accuracy", []).append(100 * entry["test"]["clean_accuracy"])
        for number, measures in measured[cell.name]:
            radius = measures.options.get("epsilon", 0.1)
            for name, value in measures.numbers.items():
                title = f"{name} {radius:.4g}" if name in _OF_RADIUS else name
                if title != "accuracy" and number in found:
                    shown = 100 * value if name in _PERCENT else value
                    found[number].setdefault(title, []).append(shown)
    return [(sparsities[number], found[number]) for number in sorted(found)]


def _table(rounds: Sequence[tuple[float, Numbers]]) -> list[str]:
    names = list(dict.fromkeys(name for _, own in rounds for name in own))
    rows = [["round", "pruned (%)", *(_TITLES.get(name, _title(name)) for name in names)]]
    for number, (sparsity, own) in enumerate(rounds):
        rows.append([str(number), f"{sparsity:.2f}", *(_shown(own.get(name)) for name in names)])
    return markdown_table(rows)


def _title(name: str) -> str:
    kind, _, radius = name.partition(" ")
    words = {"r_inf_fgsm": "r_inf FGS", "r_inf_rfgsm": "r_inf rFGS"}
    return f"{words.get(kind, kind.replace('_', ' '))} {radius}".strip()


def _shown(values: Sequence[float] | None) -> str:
    if not values:
        return "-"
    std = deviation(list(values))
    return f"{statistics.fmean(values):.4f}" + ("" if std is None else f" ± {std:.4f}")


def _figure(
    folder: str, place: str, found: Mapping[str, Sequence[tuple[float, Numbers]]]
) -> list[str]:
    """Draws r_inf and accuracy, then r_2, of each network with several rounds."""
    own = {model: rounds for model, rounds in found.items() if len(rounds) > 1}
    if not own:
        return []
    figure, axes = panels(len(own), 3, (13, 3.6 * len(own)))
    for row, (model, rounds) in zip(axes, own.items(), strict=True):
        names = list(dict.fromkeys(name for _, each in rounds for name in each))
        robust = [name for name in names if name.startswith("r_inf")]
        distances = [name for name in names if name.startswith("r_2")]
        groups = {"accuracy (%)": ["accuracy"], "r_inf": robust, "r_2": distances}
        for axis, (title, group) in zip(row, groups.items(), strict=True):
            _lines(axis, rounds, group)
            axis.set(xlabel="weights pruned (%)", ylabel=title)
            axis.set_title(CIFAR[model], fontsize="small")
    return pictures.saved(folder, place, "figure_2_cifar", "Figure 2 (e) to (h)", figure)


def _lines(axis: Axes, rounds: Sequence[tuple[float, Numbers]], names: Sequence[str]) -> None:
    for marker, name in zip(itertools.cycle(MARKERS), names, strict=False):
        points = [(x, statistics.fmean(own[name])) for x, own in rounds if name in own]
        if points:
            label = _TITLES.get(name, _title(name))
            axis.plot(*zip(*points, strict=True), f"{marker}-", label=label)
    if names:
        legend_below(axis, columns=1)


def _claims(model: str, rounds: Sequence[tuple[float, Numbers]]) -> list[Claim]:
    """Section 4.2: robustness rises with sparsity, and falls in networks pruned too far."""
    name = CIFAR[model]
    known = list(dict.fromkeys(n for _, own in rounds for n in own if n.startswith("r_inf_fgsm")))
    judged = [
        (f"{name}: some pruned networks are more robust by {_title(n)}", _rises(rounds, n))
        for n in known or ["r_inf_fgsm"]
    ]
    judged += [
        (
            f"{name}: some pruned networks are more robust by r_2 of DeepFool",
            _rises(rounds, "r_2_deepfool_first"),
        ),
        (f"{name}: pruned too far, r_2 falls", _falls(rounds, "r_2_deepfool_first")),
    ]
    return [Claim(text, own) for text, own in judged]


def _means(rounds: Sequence[tuple[float, Numbers]], name: str) -> list[float]:
    return [statistics.fmean(own[name]) for _, own in rounds if name in own]


def _rises(rounds: Sequence[tuple[float, Numbers]], name: str) -> Judged:
    found = _means(rounds, name)
    if len(found) < 2:
        return UNTESTED
    best = max(found[1:])
    words = f"{best:.4f} at best against {found[0]:.4f}"
    return Judged(words, HELD if best > found[0] else NOT_HELD)


def _falls(rounds: Sequence[tuple[float, Numbers]], name: str) -> Judged:
    found = _means(rounds, name)
    if len(found) < 2:
        return UNTESTED
    words = f"{found[-1]:.4f} at the end against {found[0]:.4f}"
    return Judged(words, HELD if found[-1] < found[0] else NOT_HELD)
