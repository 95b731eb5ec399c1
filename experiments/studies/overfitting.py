"""Robust overfitting: robust accuracy of training images minus that of validation images."""

import dataclasses
from collections.abc import Sequence

from experiments.runs import best
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table, percent


@dataclasses.dataclass(frozen=True)
class Gap:
    """The gap of a network's last adversarial training.

    Attributes:
        network: name of the network.
        gaps: training minus validation accuracy, a fraction, by iteration; robust where training is
            adversarial and measured so, else clean.
        best: test accuracy under the training attack of the best weights, a fraction.
        final: the same of the final weights.
    """

    network: str
    gaps: dict[str, float]
    best: float
    final: float

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        return dataclasses.asdict(self)


def gaps(cells: Sequence[Cell], names: Sequence[str], rounds: Sequence[int]) -> list[Gap]:
    """The gap of each cell in a round, for cells whose results have it.

    Args:
        cells: finished cells.
        names: name of each cell's network.
        rounds: number of the round of each cell.
    """
    found = []
    for cell, name, number in zip(cells, names, rounds, strict=True):
        for own in cell.results.get("weights", []):
            if own["round"] == number:
                attack = cell.flag("attack")
                tests = (best.accuracy(own[kind]["test"], attack) for kind in ("best", "final"))
                found.append(Gap(name, own["gaps"], *tests))
    return found


def markdown(found: Sequence[Gap]) -> list[str]:
    """A section with the gaps at the first, middle and last evaluation; [] for none."""
    if not found:
        return []
    rows = [["network", "gap, first", "gap, middle", "gap, last", "best (%)", "final (%)"]]
    for each in found:
        values = list(each.gaps.values())
        places = (values[0], values[len(values) // 2], values[-1])
        shown = [f"{100 * value:+.2f}" for value in places]
        rows.append([each.network, *shown, percent(each.best), percent(each.final)])
    told = (
        "Training minus validation accuracy in points, under the training attack where there is "
        "one, and test accuracy of the best (by robust validation accuracy) and of the final "
        "weights. Training accuracy is that of the batches since the evaluation before. The paper "
        "has none of it."
    )
    return ["## Beyond the paper: robust overfitting", "", told, "", *markdown_table(rows), ""]
