"""The directory of a sweep: sweep.json, and the finished runs of its cells."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import warnings
from typing import TYPE_CHECKING, Any

from experiments.evaluations import follow_up
from experiments.evaluations.follow_up import Evaluation, Measurement
from experiments.runs import config, directory, options, records
from experiments.runs.config import Config
from experiments.runs.results import RoundResult, RunResults
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning

if TYPE_CHECKING:
    from robust_sparse_tf.procedures.records import Record

FILE = "sweep.json"
_SHAPE = {
    "command": str,
    "cells": [str],
    "evaluations?": [str],
    "measurements?": [str],
    "study?": str,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """The contents of sweep.json.

    Attributes:
        command: command line of the sweep.
        cells: names of the runs of all cells, finished or not.
        evaluations: evaluations of each finished run.
        measurements: measurements of each finished run's rounds.
        study: name of the study of its report; "" for none.
    """

    command: str
    cells: list[str]
    evaluations: list[Evaluation]
    measurements: list[Measurement]
    study: str

    def as_json(self) -> dict[str, object]:
        """The contents as JSON."""
        return {
            "command": self.command,
            "cells": self.cells,
            "evaluations": [each.text for each in self.evaluations],
            "measurements": [each.text for each in self.measurements],
            "study": self.study,
        }


@dataclasses.dataclass(frozen=True)
class Cell:
    """A finished cell of a sweep's grid.

    Attributes:
        path: directory of its run.
        results: results of its run.
    """

    path: str
    results: RunResults

    @property
    def name(self) -> str:
        """Name of its run."""
        return self.results["name"]

    @property
    def rounds(self) -> list[RoundResult]:
        """The end of each round."""
        return self.results["rounds"]

    def flag(self, name: str) -> Any:
        """Returns the value of a flag."""
        return options.value_of(self.results["flags"], name)

    @functools.cached_property
    def config(self) -> Config:
        """The configuration of its run."""
        return config.read(self.path)

    @functools.cached_property
    def records(self) -> list[Record]:
        """The records of its run, in order."""
        return records.read(self.path)


def write(folder: str, contents: Contents) -> None:
    """Writes sweep.json."""
    files.write_json(os.path.join(folder, FILE), contents.as_json())


def exists(folder: str) -> bool:
    """Whether a folder is a sweep's."""
    return os.path.exists(os.path.join(folder, FILE))


def read(folder: str) -> Contents:
    """Reads sweep.json.

    Raises:
        InputError: if the folder has no sweep.
    """
    try:
        content = files.read_json(os.path.join(folder, FILE), _SHAPE)
        return Contents(
            command=content["command"],
            cells=list(dict.fromkeys(content["cells"])),
            evaluations=list(map(follow_up.stored_evaluation, content.get("evaluations", []))),
            measurements=list(map(follow_up.stored_measurement, content.get("measurements", []))),
            study=content.get("study", ""),
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: holds no sweep (no readable sweep.json: {error})") from error


def finished(folder: str, names: list[str]) -> list[Cell]:
    """The finished cells among those named; damaged ones are left out, with a warning."""
    cells = []
    for name in names:
        try:
            if found := directory.finished(folder, name):
                cells.append(_checked(Cell(os.path.join(folder, name), found)))
        except InputError as error:
            warnings.warn(f"cell {name} is left out of the report: {error}", RunWarning, 2)
    return cells


def _checked(cell: Cell) -> Cell:
    """Checks that the other files of a cell, if any, can be read.

    Raises:
        InputError: if one is damaged.
    """
    if not cell.rounds:
        raise InputError(f"{cell.path}: holds results without a round")
    with contextlib.suppress(FileNotFoundError):
        _ = cell.config
    with contextlib.suppress(FileNotFoundError):
        _ = cell.records
    return cell
