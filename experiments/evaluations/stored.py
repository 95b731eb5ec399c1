"""What evaluations and measurements leave in a run's directory, as their files hold it."""

import dataclasses
import json
from typing import Any, TypedDict

from robust_sparse_tf import files


class AttackRow(TypedDict):
    """A row of an evaluation's report.json, as far as reports on sweeps look at it.

    `attack` is "clean" for clean images and "worst" for the worst case of an ensemble. `accuracy`
    is a fraction, `distance` the mean in the units of the input, each None where there is none.
    """

    attack: str
    norm: str | None
    epsilon: float | None
    accuracy: float
    distance: float | None
    seconds: float | None


class AttackReport(TypedDict):
    """An evaluation's report.json; see `evaluation.Report.to_json`, which writes it."""

    rows: list[AttackRow]
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
