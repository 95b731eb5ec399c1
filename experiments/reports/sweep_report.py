"""The report of a sweep: tables and figures of whatever cells are finished."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from experiments.reports import method_table, robustness
from experiments.runs import directory
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

# From a sweep's folder, its cells' results and the attacks on them, to Markdown and its numbers.
StudyReport = Callable[[str, list[dict[str, Any]], list[dict]], tuple[str, dict[str, Any]]]


def write(folder: str, studies: Mapping[str, StudyReport]) -> str:
    """Writes report.json and report.md of a sweep with its figures, and returns the latter.

    Args:
        folder: of the sweep.
        studies: the report of each study, by its name.

    Raises:
        InputError: for a folder that holds no sweep, or one without a finished cell.
    """
    try:
        with open(os.path.join(folder, "sweep.json")) as file:
            sweep = json.load(file)
        names, made_by = list(sweep["cells"]), str(sweep["command"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: holds no sweep (no readable sweep.json)") from error
    finished = [found for name in names if (found := directory.finished(folder, name))]
    if not finished:
        raise InputError(f"{folder}: holds no finished cell yet")
    attacked = robustness.summarise(folder, sweep.get("evaluations", []), finished)
    content: dict[str, Any] = {"robustness": attacked}
    if sweep.get("study"):
        text, content["study"] = studies[sweep["study"]](folder, finished, attacked)
    else:
        rows = content["rows"] = method_table.summarise(finished)
        text = method_table.markdown(rows) + robustness.markdown(attacked)
        path = os.path.join(folder, "report.png")
        with files.naming(path):
            method_table.draw(path, rows)
    text += robustness.of_training(finished)
    text += f"\n{len(finished)} of {len(names)} cells. Made by:\n\n    {made_by}\n"
    files.write_json(
        os.path.join(folder, "report.json"), _made(folder, finished, made_by) | content
    )
    files.write_text(os.path.join(folder, "report.md"), text)
    return text


def _made(folder: str, finished: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """What made the cells: the command, this project's revisions, packages, seeds and times.

    The seconds of a cell that was resumed are those of its last process.
    """
    configs = []
    for result in finished:
        with open(os.path.join(folder, result["name"], "config.json")) as file:
            configs.append(json.load(file))
    packages = {
        f"{name} {version}"
        for config in configs
        for name, version in config.get("packages", {}).items()
    }
    return {
        "command": command,
        "revisions": sorted({config["git_revision"] for config in configs}),
        "packages": sorted(packages),
        "cells": [
            {key: result.get(key) for key in ("name", "flags", "seconds", "resumed")}
            for result in finished
        ],
        "seconds": sum(result["seconds"] for result in finished),
    }
