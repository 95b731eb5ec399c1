"""Cells of a sweep as their files hold them, for the reports of studies; no training."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from experiments import studies
from experiments.cli.flags import as_flag
from experiments.evaluations import stored
from experiments.reports import sweep_report
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.runs.results import of_rounds
from experiments.sweeps import trials
from robust_sparse_tf import files


def sweep(folder: Path, study: str, cells: list[dict[str, Any] | None], **content: Any) -> Path:
    """A sweep of cells as `cell` makes them, of which None is not finished."""
    names = [cell["name"] if cell else f"unfinished-{n}" for n, cell in enumerate(cells)]
    made = {"command": "python -m experiments.sweep", "cells": names, "study": study} | content
    (folder / "sweep.json").write_text(json.dumps(made))
    return folder


def cell(
    folder: Path,
    accuracies: list[list[dict[str, float]]],
    densities: list[float],
    *,
    every: int = 10,
    **given: Any,
) -> dict[str, Any]:
    """Writes what a run leaves, and returns its results.

    Args:
        folder: folder of the sweep.
        accuracies: for each round, for each evaluation, the accuracy by attack, "none" for clean.
        densities: of each round.
        every: iterations between evaluations.
        given: the flags.
    """
    values = flags.parse(["run", *(as_flag(name, value) for name, value in given.items())])
    records = [
        _record(number, (place + 1) * every, densities[number], found)
        for number, row in enumerate(accuracies)
        for place, found in enumerate(row)
    ]
    results = {
        "name": run_name(values),
        "flags": flags.different(values),
        "rounds": of_rounds(records, values["attack"]),
        "seconds": 1.0,
    }
    place = folder / results["name"]
    place.mkdir()
    (place / "results.json").write_text(json.dumps(results))
    (place / "config.json").write_text(json.dumps({"git_revision": "some", "packages": {}}))
    (place / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for number, density in enumerate(densities):
        (place / "rounds" / str(number)).mkdir(parents=True)
        masks = {name: np.random.default_rng(0).random((8, 4)) < density for name in "ab"}
        np.savez(place / "rounds" / str(number) / "masks.npz", **masks)
    return results


def measures(path: str, **given: Any) -> None:
    """Writes what a measurement leaves of a round."""
    content = dict(options={}, images=1, numbers={}, usefulness=None, missing={}, warnings=[])
    stored.write_measures(path, stored.Measures(**content | given, seconds=1.0))


def row(text: str, first: str, title: str = "") -> list[str]:
    """The cells of the table row after a title that begin so."""
    text = text[text.index(title) :]
    (line, *_) = [line for line in text.splitlines() if line.startswith(f"| {first}")]
    return [word.strip() for word in line.strip("|").split("|")]


def _record(number: int, iteration: int, density: float, found: dict[str, float]) -> dict:
    robust = {name: value for name, value in found.items() if name != "none"}
    figures = {
        "clean_accuracy": found["none"],
        "clean_loss": 1 - found["none"],
        "robust_accuracy": robust,
        "robust_loss": {name: 1 - value for name, value in robust.items()},
    }
    return {
        "round": number,
        "iteration": iteration,
        "density": density,
        "layers": {},
        "sparsity": {},
        "train": {},
        "validation": figures,
        "test": figures,
    }


def write_report(folder: str) -> str:
    """The report of a sweep, as `experiments.report` writes it; the same comes of its trials."""
    text = sweep_report.write(folder, studies.BY_NAME)
    with tempfile.TemporaryDirectory() as other, _no_figures():
        shutil.copy(os.path.join(folder, trials.FILE), other)
        assert sweep_report.write(other, studies.BY_NAME) == text
        for name in ("report.json", "report.md"):
            assert Path(other, name).read_bytes() == Path(folder, name).read_bytes()
        assert _figures(other) == _figures(folder)
        with trials.unpacked(other) as place:
            sweep_report.write(place, studies.BY_NAME)
            assert Path(place, trials.FILE).read_bytes() == Path(folder, trials.FILE).read_bytes()
    return text


def write_tables(folder: str) -> str:
    """The same report, but its figures are empty files: drawing them takes seconds."""
    with _no_figures():
        return write_report(folder)


def _figures(folder: str) -> set[str]:
    return {path.name for path in Path(folder).rglob("*.png")}


def _no_figures() -> Any:
    return mock.patch.object(files, "write_figure", lambda _, path, **__: Path(path).touch())
