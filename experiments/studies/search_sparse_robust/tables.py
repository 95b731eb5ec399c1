"""Numbers for the tables of "The Search for Sparse, Robust Neural Networks", from our runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.reports.published import Comparison, Figure, compare
from experiments.studies.cells import accuracies, nearest_round, select, values_of
from experiments.studies.protocol import Names
from experiments.studies.search_sparse_robust.protocol import (
    ATTACKS,
    DENSITIES,
    ITERATION,
    PROTOCOL,
)
from experiments.studies.search_sparse_robust.published import Place, Published
from experiments.sweeps.directory import Cell

if TYPE_CHECKING:
    from robust_sparse_tf.procedures.records import Record

_TRAINED = {"normally": "none", "adversarially": ""}  # the training attack; "" for that of the test


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Networks of one density and one way of training, on clean images and under one attack.

    Attributes:
        density: percent of the weights that are left.
        attack: of the test, and of training where that is adversarial.
        trained: "normally" or "adversarially".
        natural: accuracies on clean images, percent.
        robust: accuracies under the attack, percent.
    """

    density: float
    attack: str
    trained: str
    natural: Comparison
    robust: Comparison

    @property
    def kinds(self) -> dict[str, Comparison]:
        """Both accuracies, by name."""
        return {"natural": self.natural, "robust": self.robust}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The networks of a data set with the same rewinding and training.

    Attributes:
        dataset: the flag.
        rewind_to: the flag.
        unlike_published: see `Protocol.names`.
        beside: whether the published numbers are of such networks.
        iteration: of each round, after which they were tested.
        rows: one per density (decreasing), attack and training.
    """

    dataset: str
    rewind_to: str
    unlike_published: tuple[str, ...]
    beside: bool
    iteration: int
    rows: list[Row]

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        return dataclasses.asdict(self)


def tables(cells: Sequence[Cell], known: Published, unlike: Names) -> list[Table]:
    """A table per data set and kind of cells."""
    found = []
    for dataset in values_of(cells, "dataset"):
        own = select(cells, dataset=dataset, strategy="original")
        kinds = dict.fromkeys((cell.flag("rewind_to"), unlike[cell.name]) for cell in own)
        for rewind_to, words in kinds:
            alike = [c for c in select(own, rewind_to=rewind_to) if unlike[c.name] == words]
            beside = not PROTOCOL.unlike(alike[0])
            accuracies = known.accuracies if beside else {}
            iteration = _iteration(alike)
            found.append(
                Table(
                    dataset=dataset,
                    rewind_to=rewind_to,
                    unlike_published=words,
                    beside=beside,
                    iteration=iteration,
                    rows=_rows(alike, iteration, dataset, accuracies),
                )
            )
    return found


def _iteration(cells: Sequence[Cell]) -> int:
    """The paper's iteration if it was evaluated, otherwise the last one of all."""
    seen = {record["iteration"] for cell in cells for record in cell.records}
    return ITERATION if ITERATION in seen else max(seen)


def _rows(
    cells: Sequence[Cell],
    iteration: int,
    dataset: str,
    known: Mapping[Place, Figure],
) -> list[Row]:
    found = []
    for density in DENSITIES:
        for attack in ATTACKS:
            for trained, training in _TRAINED.items():
                nets = select(cells, attack=training or attack)
                at = _at(nets, iteration, density)
                compared = {}
                for kind, tested in (("natural", "none"), ("robust", attack)):
                    ours = accuracies((record["test"] for record in at), tested)
                    place = Place(dataset, density, attack, trained, kind)
                    compared[kind] = compare(ours, known.get(place))
                found.append(Row(density=density, attack=attack, trained=trained, **compared))
    return found


def _at(cells: Sequence[Cell], iteration: int, percent: float) -> list[Record]:
    """The record of each cell at a density and an iteration, if any."""
    return [
        record
        for cell in cells
        for number in [nearest_round(cell, percent)]
        for record in cell.records
        if (record["round"], record["iteration"]) == (number, iteration)
    ]
