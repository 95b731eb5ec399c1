"""The part of a sweep's report that tells of attacks on its finished cells."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from experiments.cli.tables import deviation
from experiments.evaluations import stored
from experiments.evaluations.follow_up import Evaluation
from experiments.evaluations.stored import AttackReport
from experiments.sweeps.directory import Cell
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.texts import markdown_table, percent

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.report import Row

# The flags whose values name a network in a report, where they differ in it.
_NAMING = (
    *("dataset", "model", "width", "attack", "epsilon_std", "strategy", "rewind_to"),
    *("activity_l1", "attack.attack_labels", "label_smoothing", "attack.random_start"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanRow:
    """What one attack left, in the mean over seeds; see `evaluation.report.Row`.

    `std` is that of the accuracy (of the sample, n - 1); None for one seed.
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
    """What one evaluation left of a network of which there may be several seeds.

    Attributes:
        evaluation: what was asked.
        network: its name, see `network`.
        round: its number; -1 for the last.
        seeds: how many there are.
        rows: one an attack and epsilon, the same of all seeds.
        warnings: those of any seed.
    """

    evaluation: Evaluation
    network: str
    round: int
    seeds: int
    rows: list[MeanRow]
    warnings: list[str]

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return vars(self) | {"evaluation": self.evaluation.text, "rows": rows}


def attacked(evaluations: Sequence[Evaluation], cells: Sequence[Cell]) -> list[AttackedNetwork]:
    """What stood which attacks, for each evaluation and network: means over seeds.

    Args:
        evaluations: of the sweep.
        cells: that are finished.
    """
    found = []
    for evaluation in evaluations:
        groups: dict[tuple[str, int], list[AttackReport]] = {}
        rounds = [int(word) for word in evaluation.options.at_rounds] or [-1]
        for cell in cells:
            run = cell.path
            places = zip(rounds, evaluation.files(run), evaluation.targets(run), strict=True)
            for number, path, target in places:
                if report := _read(evaluation, path, target):
                    name = network(cell, cells, number)
                    groups.setdefault((name, number), []).append(report)
        for (name, number), reports in groups.items():
            rows = zip(*(report["rows"] for report in reports), strict=True)
            found.append(
                AttackedNetwork(
                    evaluation=evaluation,
                    network=name,
                    round=number,
                    seeds=len(reports),
                    rows=[_mean_row(same) for same in rows],
                    warnings=list(dict.fromkeys(w for r in reports for w in r["warnings"])),
                )
            )
    return found


def _read(evaluation: Evaluation, path: str, target: str) -> AttackReport | None:
    """An evaluation's report; None where there is none that is of the network of today."""
    if not os.path.exists(path):
        return None
    try:
        found = stored.read_attacks(path)
    except InputError as error:
        stored.warn_left_out(path, str(error))
        return None
    if evaluation.is_of(path, target):
        return found
    stored.warn_left_out(path, "it is of another network than the one that is there now")
    return None


def of_training(cells: Sequence[Cell]) -> str:
    """What training warned of, a line for each network with the first of its warnings; "" for none.

    Args:
        cells: that are finished.
    """
    told: dict[str, list[str]] = {}
    for cell in cells:
        name = ", ".join([cell.flag("method"), *_differences(cell, cells)])
        if len(cell.rounds) == 1:
            name = network(cell, cells)
        told.setdefault(name, []).extend(cell.results.get("warnings", []))
    lines = [
        f"\n**Warning**, {name}: {own[0]}" + (f" (first of {len(own)} such)" if own[1:] else "")
        for name, own in told.items()
        if own
    ]
    return "\n".join([*lines, ""]) if lines else ""


def network(cell: Cell, cells: Sequence[Cell], number: int = -1) -> str:
    """What a round's network is called: method, density and whatever differs between cells."""
    density = cell.rounds[number]["density"]
    return ", ".join([f"{cell.flag('method')} {100 * density:.3g} %", *_differences(cell, cells)])


def _differences(cell: Cell, cells: Sequence[Cell]) -> list[str]:
    words = []
    names = _NAMING + (("prune_measure",) if cell.flag("prune") == "features" else ())
    for name in names:
        own, *others = [each.flag(name) for each in (cell, *cells)]
        if set(others) != {own}:
            shown = f"{own:g}" if isinstance(own, float) else own
            words.append(f"{name.removeprefix('attack.')}={shown}")
    return words


def markdown(found: Sequence[AttackedNetwork]) -> str:
    """A table for each evaluation, attacks by networks, and the warnings; "" for none."""
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
    """The mean of those that are there."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def _words(row: MeanRow) -> str:
    text = percent(row.accuracy, row.std, digits=1)
    if row.norm and row.epsilon is None and row.distance is not None:
        text = f"{row.norm} {row.distance:.3g}"
    return text if row.seconds is None else f"{text} ({row.seconds:.0f} s)"
