"""The part of a sweep's report on attacks on its finished cells."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from experiments.evaluations import stored
from experiments.evaluations.follow_up import Evaluation
from experiments.evaluations.stored import AttackReport
from experiments.runs import naming
from experiments.runs.results import RoundResult
from experiments.sweeps.directory import Cell
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.method_table import deviation
from robust_sparse_tf.texts import markdown_table, percent

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.report import Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanRow:
    """The result of one attack, averaged over seeds; see `evaluation.report.Row`.

    `std` is the standard deviation of the accuracy (of the sample, n - 1); None for one seed.
    """

    attack: str
    norm: str | None
    epsilon: float | None
    accuracy: float
    distance: float | None
    seconds: float | None
    std: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackedNetwork:
    """The results of one evaluation of a network, over one or more seeds.

    Attributes:
        evaluation: flags of the evaluation.
        network: name of the network, see `network`.
        training: training attack, "none" for none.
        density: fraction of weights kept.
        round: number of the round; -1 for the last.
        seeds: number of seeds.
        rows: one per attack and epsilon, the same for all seeds.
        warnings: warnings of any seed.
    """

    evaluation: Evaluation
    network: str
    training: str
    density: float
    round: int
    seeds: int
    rows: list[MeanRow]
    warnings: list[str]

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return vars(self) | {"evaluation": self.evaluation.text, "rows": rows}


def attacked(evaluations: Sequence[Evaluation], cells: Sequence[Cell]) -> list[AttackedNetwork]:
    """Robustness of networks to attacks, per evaluation: means over seeds.

    Args:
        evaluations: evaluations of the sweep.
        cells: finished cells.
    """
    found = []
    for evaluation in evaluations:
        for network in _networks(cells):
            seen: dict[int, list[tuple[Cell, AttackReport]]] = {}
            for cell in network.trials:
                for number, report in of_cell(evaluation, cell).items():
                    own = seen.setdefault(number, [])
                    if own and _attacks(report) != _attacks(own[0][1]):
                        path = os.path.join(cell.path, "robustness")
                        stored.warn_left_out(path, "its attacks differ from those of another seed")
                        continue
                    own.append((cell, report))
            for number, own in seen.items():
                rows = zip(*(report["rows"] for _, report in own), strict=True)
                rounds = [cell.rounds[number] for cell, _ in own]
                found.append(
                    AttackedNetwork(
                        evaluation=evaluation,
                        network=network.name(rounds),
                        training=own[0][0].flag("attack"),
                        density=statistics.fmean(entry["density"] for entry in rounds),
                        round=number,
                        seeds=len(own),
                        rows=[_mean_row(same) for same in rows],
                        warnings=list(dict.fromkeys(w for _, r in own for w in r["warnings"])),
                    )
                )
    return found


def of_cell(evaluation: Evaluation, cell: Cell) -> dict[int, AttackReport]:
    """The reports of an evaluation of a cell, by round; -1 is the last round.

    Args:
        evaluation: evaluation of the sweep.
        cell: finished cell.
    """
    numbers = [int(word) for word in evaluation.options.at_rounds] or [-1]
    places = zip(evaluation.files(cell.path), evaluation.targets(cell.path), strict=True)
    found = {}
    for number, (path, target) in zip(numbers, places, strict=True):
        report = _read(evaluation, path, target)
        if report is not None and number < len(cell.rounds):
            found[number] = report
    return found


def _attacks(report: AttackReport) -> list[tuple[str, float | None]]:
    return [(row["attack"], row["epsilon"]) for row in report["rows"]]


def _read(evaluation: Evaluation, path: str, target: str) -> AttackReport | None:
    """An evaluation's report; None if there is none of the current network."""
    if not os.path.exists(path):
        return None
    try:
        found = stored.read_attacks(path)
    except InputError as error:
        stored.warn_left_out(path, str(error))
        return None
    if evaluation.is_current(path, found["model"], target):
        return found
    stored.warn_left_out(path, "it belongs to another network than the current one")
    return None


def of_training(cells: Sequence[Cell]) -> str:
    """A line per network with the first warning of its training; "" for none.

    Args:
        cells: finished cells.
    """
    told: dict[str, list[str]] = {}
    for network in _networks(cells):
        for cell in network.trials:
            name = network.name(cell.rounds) if len(cell.rounds) == 1 else network.kind
            told.setdefault(name, []).extend(cell.results.get("warnings", []))
    lines = [
        f"\n**Warning**, {name}: {own[0]}" + (f" (first of {len(own)} such)" if own[1:] else "")
        for name, own in told.items()
        if own
    ]
    return "\n".join([*lines, ""]) if lines else ""


@dataclasses.dataclass(frozen=True)
class _Network:
    """Cells that differ only in their seeds, with the flags that distinguish them from others."""

    trials: list[Cell]
    settings: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The method, with the flags that differ between cells."""
        return ", ".join([self.trials[0].flag("method"), *self.settings])

    def name(self, rounds: Sequence[RoundResult]) -> str:
        """Its name in a round: method, density and the flags that differ between cells.

        Args:
            rounds: the same round of its trials.
        """
        density = statistics.fmean(entry["density"] for entry in rounds)
        method = self.trials[0].flag("method")
        return ", ".join([f"{method} {100 * density:.3g} %", *self.settings])


def _networks(cells: Sequence[Cell]) -> list[_Network]:
    flags = [cell.results["flags"] for cell in cells]
    settings = naming.varying(flags, [cell.rounds[-1]["density"] for cell in cells])
    return [
        _Network([cells[place] for place in places], settings[places[0]])
        for places in naming.trials(flags)
    ]


def markdown(found: Sequence[AttackedNetwork]) -> str:
    """A table per evaluation, attacks by networks, and the warnings; "" for none."""
    lines: list[str] = []
    for text in dict.fromkeys(each.evaluation.text for each in found):
        networks = [each for each in found if each.evaluation.text == text]
        lines += ["", f"## Under attack: `{text}`", ""]
        table = [["attack", "epsilon", *(each.network for each in networks)]]
        for number, row in enumerate(networks[0].rows):
            epsilon = "" if row.epsilon is None else f"{row.epsilon:g} ({row.norm})"
            words = [_words(each.rows[number]) for each in networks]
            table.append([row.attack, epsilon, *words])
        lines += markdown_table(table, left=1)
        lines += ["", "Accuracy in percent, and seconds; distances of attacks without an epsilon."]
        for each in networks:
            lines += [f"\n**Warning**, {each.network}: {line}" for line in each.warnings]
    return "\n".join([*lines, ""]) if lines else ""


def _mean_row(rows: Sequence[Row]) -> MeanRow:
    accuracies = [row["accuracy"] for row in rows]
    return MeanRow(
        attack=rows[0]["attack"],
        norm=rows[0]["norm"],
        epsilon=rows[0]["epsilon"],
        accuracy=statistics.fmean(accuracies),
        distance=_mean(row["distance"] for row in rows),
        seconds=_mean(row["seconds"] for row in rows),
        std=deviation(accuracies),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def _words(row: MeanRow) -> str:
    text = percent(row.accuracy, row.std, digits=1)
    if row.norm and row.epsilon is None and row.distance is not None:
        text = f"{row.norm} {row.distance:.3g}"
    return text if row.seconds is None else f"{text} ({row.seconds:.0f} s)"
