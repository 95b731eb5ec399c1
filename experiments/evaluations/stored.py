"""What evaluations and measurements leave in a run's directory, as their files hold it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, TypedDict

from robust_sparse_tf import files

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.report import Row


class AttackReport(TypedDict):
    """What sweeps read of an evaluation's report.json; `evaluation.Report.to_json` writes it."""

    rows: list[Row]
    warnings: list[str]


class Usefulness(TypedDict):
    """Of each feature, by its place; see `evaluation.Usefulness`."""

    weights: list[float]
    raw: list[float]
    raw_robust: list[float]
    weighted: list[float]
    weighted_robust: list[float]
    normalised: list[float]
    normalised_robust: list[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """What was measured of a round's network.

    Attributes:
        options: what was asked; see `measure_options.asked`.
        images: how many test images there were.
        numbers: by the names of the measures.
        usefulness: of its features; None where it was not measured.
        missing: why the measures that could not be taken could not, by their options' names.
        warnings: what the measurement warned of.
        seconds: that it took.
    """

    options: dict[str, Any]
    images: int
    numbers: dict[str, float]
    usefulness: Usefulness | None
    missing: dict[str, str]
    warnings: list[str]
    seconds: float


def read_attacks(path: str) -> AttackReport:
    """An evaluation's report.json."""
    with open(path) as file:
        found: AttackReport = json.load(file)
    return found


def read_measures(path: str) -> Measures:
    """The measures of a round that a file holds."""
    with open(path) as file:
        content = json.load(file)
    numbers = dict(content.pop("measures"))
    usefulness = numbers.pop("usefulness", None)
    return Measures(**content, numbers=numbers, usefulness=usefulness)


def write_measures(path: str, found: Measures) -> None:
    """Writes the measures of a round, the usefulness of features as one of them."""
    useful = {} if found.usefulness is None else {"usefulness": found.usefulness}
    content = {
        "options": found.options,
        "images": found.images,
        "measures": found.numbers | useful,
        "missing": found.missing,
        "warnings": found.warnings,
        "seconds": found.seconds,
    }
    files.write_json(path, content)
