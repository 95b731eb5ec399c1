"""The report of a sweep: tables and figures of the finished cells."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence

from experiments.reports import method_table, robustness
from experiments.reports.robustness import AttackedNetwork
from experiments.sweeps import directory, trials
from experiments.sweeps.directory import Cell
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

StudyReport = Callable[
    [str, Sequence[Cell], Sequence[AttackedNetwork]], tuple[str, Mapping[str, object]]
]
"""(folder of the sweep, finished cells, attacks on them) -> (Markdown, numbers for report.json)."""


_FILES = ("report.json", "report.md", "report.pdf", "report.png")


def write(folder: str, studies: Mapping[str, StudyReport]) -> str:
    """Writes report.json, report.md and the figures of a sweep; returns the text of report.md.

    Args:
        folder: folder of the sweep, or one with the trials.json of a sweep.
        studies: report functions of the studies, by name.

    Raises:
        InputError: if the folder has no sweep, or one of an unknown study or without a finished
            cell.
    """
    if trials.is_stored(folder):
        return _write_again(folder, studies)
    sweep = directory.read(folder)
    if sweep.study not in ("", *studies):
        raise InputError(f"{folder}: has study={sweep.study}; must be one of {', '.join(studies)}")
    finished = directory.finished(folder, sweep.cells)
    if not finished:
        raise InputError(f"{folder}: has no finished cell yet")
    attacked = robustness.attacked(sweep.evaluations, finished)
    content = _made(finished, sweep.command)
    content["robustness"] = [each.as_json() for each in attacked]
    if sweep.study:
        text, content["study"] = studies[sweep.study](folder, finished, attacked)
    else:
        rows = method_table.rows_of([cell.results for cell in finished])
        content["rows"] = [row.as_json() for row in rows]
        text = method_table.markdown(rows) + robustness.markdown(attacked)
        path = os.path.join(folder, "report.png")
        with files.naming(path):
            method_table.draw(path, rows)
    text += robustness.of_training(finished)
    text += f"\n{len(finished)} of {len(sweep.cells)} cells. Made by:\n\n    {sweep.command}\n"
    files.write_json(os.path.join(folder, "report.json"), content)
    files.write_text(os.path.join(folder, "report.md"), text)
    trials.write(folder, sweep, finished)
    return text


def _write_again(folder: str, studies: Mapping[str, StudyReport]) -> str:
    """Writes the same from the trials stored in a folder."""
    with trials.unpacked(folder) as place:
        text = write(place, studies)
        for name in _FILES:
            if os.path.exists(os.path.join(place, name)):
                shutil.copy(os.path.join(place, name), folder)
        if os.path.isdir(os.path.join(place, "figures")):
            shutil.rmtree(os.path.join(folder, "figures"), ignore_errors=True)
            shutil.copytree(os.path.join(place, "figures"), os.path.join(folder, "figures"))
    return text


def _made(finished: Sequence[Cell], command: str) -> dict[str, object]:
    """How the cells were made: command, revisions of this project, packages, seeds and times.

    For a resumed cell, the time is that of its last process.
    """
    configs = [cell.config for cell in finished]
    packages = {
        f"{name} {version}"
        for config in configs
        for name, version in config.get("packages", {}).items()
    }
    keys = ("name", "flags", "seconds", "resumed")
    return {
        "command": command,
        "revisions": sorted({config.get("git_revision", "unknown") for config in configs}),
        "packages": sorted(packages),
        "cells": [{key: cell.results.get(key) for key in keys} for cell in finished],
        "seconds": sum(cell.results.get("seconds", 0.0) for cell in finished),
    }
