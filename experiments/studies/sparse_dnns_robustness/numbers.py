"""Numbers for "Sparse DNNs with Improved Adversarial Robustness" (2018), from our runs."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.reports import measures
from experiments.reports.measures import Measured
from experiments.reports.published import Comparison, Figure, compare
from experiments.studies.cells import select
from experiments.studies.sparse_dnns_robustness.protocol import (
    DEEP,
    L1,
    NETWORKS,
    PERCENT,
    TABLE_1,
)
from experiments.studies.sparse_dnns_robustness.published import Published
from experiments.sweeps.directory import Cell
from robust_sparse_tf.method_table import deviation


@dataclasses.dataclass(frozen=True)
class Round:
    """A round of networks that differ only in their seeds, the references.

    Attributes:
        round: number of the round.
        sparsity: fraction of weights pruned.
        trials: values of each measure, in the unit of its table, by the name of the reference's
            cell.
    """

    round: int
    sparsity: float
    trials: dict[str, dict[str, float]]

    def values(self, measure: str) -> list[float]:
        """The values of a measure, one per reference; empty if not measured."""
        return list(self.trials.get(measure, {}).values())

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        spreads = {
            name: {
                "mean": statistics.fmean(self.values(name)),
                "std": deviation(self.values(name)),
                "references": len(self.values(name)),
            }
            for name in self.trials
        }
        return {"round": self.round, "sparsity": self.sparsity, "measures": spreads}


Series = list[Round]
"""The rounds of a network with measures of any reference."""


class Point(NamedTuple):
    """Mean and deviation (0 for one) of a measure over references, at a sparsity."""

    sparsity: float
    mean: float
    std: float


def points(series: Sequence[Round], measure: str) -> list[Point]:
    """A measure by sparsity, for the rounds with this measure."""
    trials = [(entry.sparsity, entry.values(measure)) for entry in series]
    return [
        Point(sparsity, statistics.fmean(values), deviation(values) or 0)
        for sparsity, values in trials
        if values
    ]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: our trials of some measures compared with published numbers.

    `sparsity` is a fraction; None if the network is not measured.
    """

    network: str
    sparsity: float | None
    measures: dict[str, Comparison]

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class PenalisedRow(Row):
    """A row of table 1, with the weight of the l1 norm."""

    model: str
    l1: float


def series(cells: Sequence[Cell], measured: Mapping[str, Measured]) -> Series:
    """The measures of each round of networks that differ only in their seeds.

    The accuracy is that of the run, on all test images.

    Args:
        cells: cells of the references; rounds without measures are left out.
        measured: measures of each cell, by name.
    """
    found: dict[int, Round] = {}
    for cell in cells:
        for number, own in measures.of_rounds(measured[cell.name]).items():
            if number >= len(cell.rounds):
                continue  # measured before the run was made again
            trained = cell.rounds[number]
            entry = found.setdefault(number, Round(number, 1 - trained["density"], {}))
            for name, value in (own | {"accuracy": trained["test"]["clean_accuracy"]}).items():
                shown = 100 * value if name in PERCENT else value
                entry.trials.setdefault(name, {})[cell.name] = shown
    return [found[number] for number in sorted(found)]


def dense(found: dict[str, Series], known: Published) -> list[Row]:
    """The numbers in the paper's text: dense networks, and one round of pruning."""
    places = [("binary_linear", 0, "accuracy"), ("linear", 0, "accuracy")]
    for measure in ("r_2_deepfool", "r_2_carlini_wagner"):
        places += [("binary_linear", number, measure) for number in (0, 1)]
    places += [(model, 0, "accuracy") for model in DEEP]
    rows = []
    for model, number, measure in places:
        own = next((each for each in found.get(model, []) if each.round == number), None)
        name = NETWORKS[model] + (f", round {number}" if number else "")
        theirs = known.dense.get((model, number, measure))
        rows.append(Row(name, own.sparsity if own else None, _compared(own, {measure: theirs})))
    return rows


def table_1(
    cells: Sequence[Cell], measured: Mapping[str, Measured], known: Published
) -> list[PenalisedRow]:
    """Dense networks by the weight of the norm of activations, beside published numbers."""
    rows = []
    for model in DEEP:
        nets = select(cells, model=model, weight_l1=0.0)
        for weight in sorted({*L1[model], *(cell.flag("activity_l1") for cell in nets)}):
            own = series(select(nets, activity_l1=weight), measured)
            theirs = {name: known.table_1.get((model, weight, name)) for name in TABLE_1}
            rows.append(_penalised(model, weight, own, theirs))
    return rows


def table_1_by_weights(
    cells: Sequence[Cell], measured: Mapping[str, Measured]
) -> list[PenalisedRow]:
    """Dense networks by the weight of the norm of weights; the paper's weight is not known."""
    rows = []
    for model in DEEP:
        nets = select(cells, model=model, activity_l1=0.0)
        weights = sorted({cell.flag("weight_l1") for cell in nets})
        for weight in weights if len(weights) > 1 else []:
            own = series(select(nets, weight_l1=weight), measured)
            rows.append(_penalised(model, weight, own, dict.fromkeys(TABLE_1)))
    return rows


def _penalised(
    model: str, weight: float, own: Series, theirs: Mapping[str, Figure | None]
) -> PenalisedRow:
    first = own[0] if own and own[0].round == 0 else None
    network = f"{NETWORKS[model]}, l1 {weight:g}"
    sparsity = first.sparsity if first else None
    return PenalisedRow(network, sparsity, _compared(first, theirs), model, weight)


def _compared(own: Round | None, theirs: Mapping[str, Figure | None]) -> dict[str, Comparison]:
    """Compares our trials of some measures with published numbers."""
    return {
        name: compare(own.values(name) if own else [], figure) for name, figure in theirs.items()
    }
