"""The trials of a sweep in one small file: the data of its report, without the networks.

The report beside it can be rewritten from it; see `experiments.report`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.evaluations import stored
from experiments.evaluations.follow_up import FollowUp
from experiments.runs import config, records, results
from experiments.sweeps import directory as sweeps
from experiments.sweeps.directory import Cell, Contents
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

if TYPE_CHECKING:
    from robust_sparse_tf.procedures.records import Record

FILE = "trials.json"
_DRAWN = "tickets.json"

_EVERY = 1000  # iterations: of evaluations that are closer together, one is kept

# The parts of each file that reports read; None for all.
_ACCURACIES = {"clean_accuracy": None, "robust_accuracy": None}
_LOSSES = {"clean_loss": None, "robust_loss": None}
_ROUND = {
    "round": None,
    "density": None,
    "layers": None,
    "iteration": None,
    "test": _ACCURACIES,
    "early_stopping": {"iteration": None, "validation": _ACCURACIES, "test": _ACCURACIES},
}
_WEIGHTS = {
    "round": None,
    "best": {"iteration": None, "test": _ACCURACIES},
    "final": {"iteration": None, "test": _ACCURACIES},
    "gaps": None,
}
_RESULTS = {
    "name": None,
    "flags": None,
    "rounds": [_ROUND],
    "weights": [_WEIGHTS],
    "export": {"tflite_bytes": None},
    "seconds": None,
    "warnings": None,
    "resumed": None,
}
_CONFIG = {"git_revision": None, "packages": None}
_RECORD = {
    "round": None,
    "iteration": None,
    "density": None,
    "test": _ACCURACIES,
    "validation": _ACCURACIES | _LOSSES,
}
_ATTACKED = {"rows": None, "warnings": None}

_SHAPE = {
    "sweep": dict,
    "cells": [
        {
            "results": dict,
            "config": dict,
            "records": [dict],
            "evaluations": [{"*": dict}],
            "measurements": [{"*": dict}],
        }
    ],
    "drawn": dict,
}


def write(folder: str, sweep: Contents, cells: Sequence[Cell]) -> None:
    """Writes trials.json of a sweep.

    Args:
        folder: folder of the sweep.
        sweep: contents of sweep.json.
        cells: finished cells.
    """
    content = {
        "sweep": sweep.as_json(),
        "cells": [_packed(cell, sweep) for cell in cells],
        "drawn": drawn(folder),
    }
    files.write_text(os.path.join(folder, FILE), _lines(content))


def drawn(folder: str) -> dict[str, Any]:
    """Reads what `write_drawn` wrote to the folder of a sweep; {} if there is nothing."""
    return _read(os.path.join(folder, _DRAWN))


def write_drawn(folder: str, content: Mapping[str, Any]) -> None:
    """Writes the data of a study's figures beside its cells, in case those are deleted."""
    files.write_json(os.path.join(folder, _DRAWN), content)


def is_stored(folder: str) -> bool:
    """Whether a folder has the trials of a sweep, and not the sweep itself."""
    return os.path.exists(os.path.join(folder, FILE)) and not sweeps.exists(folder)


@contextlib.contextmanager
def unpacked(folder: str) -> Iterator[str]:
    """A temporary folder that looks like the sweep whose trials are stored.

    Args:
        folder: folder with trials.json.

    Raises:
        InputError: if the file has no trials, or those of another sweep than the report beside it.
    """
    path = os.path.join(folder, FILE)
    try:
        content = files.read_json(path, _SHAPE)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: holds no trials of a sweep ({error})") from error
    _check_report(path, content["sweep"].get("command"))
    with tempfile.TemporaryDirectory() as place:
        files.write_json(os.path.join(place, sweeps.FILE), content["sweep"])
        sweep = sweeps.read(place)
        if content["drawn"]:
            write_drawn(place, content["drawn"])
        for cell in content["cells"]:
            name = cell["results"].get("name")
            if name not in sweep.cells or os.path.basename(name) != name:
                raise InputError(f"{path}: holds a cell {name!r}, which its sweep does not name")
            try:
                _unpack(cell, sweep, os.path.join(place, name))
            except ValueError as error:
                raise InputError(f"{path}: the cell {name} is damaged ({error})") from error
        yield place


def _check_report(path: str, command: object) -> None:
    """Raises InputError if the report beside the trials was made by another command."""
    beside = _read(os.path.join(os.path.dirname(path), "report.json"))
    if beside and beside.get("command") != command:
        raise InputError(
            f"{path}: is of another sweep than report.json beside it ({command!r} made the trials, "
            f"{beside.get('command')!r} the report)"
        )


def _read(path: str) -> dict[str, Any]:
    """Reads a file that a report has written; {} if it is missing or damaged."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        found = files.read_json(path)
    return found


def _packed(cell: Cell, sweep: Contents) -> dict[str, Any]:
    made: Any = {}
    history: list[Record] = []
    with contextlib.suppress(FileNotFoundError):
        made = cell.config
    with contextlib.suppress(FileNotFoundError):
        history = cell.records
    return {
        "results": _kept(cell.results, _RESULTS),
        "config": _kept(made, _CONFIG),
        "records": [_kept(record, _RECORD) for record in _thinned(history, cell)],
        "evaluations": [_found(each, cell, _attacked) for each in sweep.evaluations],
        "measurements": [_found(each, cell, _measured) for each in sweep.measurements],
    }


def _unpack(cell: dict[str, Any], sweep: Contents, place: str) -> None:
    os.makedirs(place)
    results.write(place, cell["results"])
    config.write(place, cell["config"])
    records.write(place, cell["records"])
    for kinds, follow_ups in (
        (cell["evaluations"], sweep.evaluations),
        (cell["measurements"], sweep.measurements),
    ):
        for by_network, follow_up in zip(kinds, follow_ups, strict=True):
            for network in by_network:
                if not re.fullmatch(r"\.|rounds/[0-9]{1,9}", network):
                    raise ValueError(f"{network!r} is not a network of a run")
                os.makedirs(os.path.join(place, network), exist_ok=True)
            own = _by_network(follow_up, place)
            for network, content in by_network.items():
                if network not in own:
                    raise ValueError(f"{network} was not asked for")
                os.makedirs(os.path.dirname(own[network]), exist_ok=True)
                files.write_json(own[network], content)


def _by_network(follow_up: FollowUp, run: str) -> dict[str, str]:
    """The files of a follow-up by network, such as "." and "rounds/3"."""
    targets = [os.path.relpath(target, run) for target in follow_up.targets(run)]
    return dict(zip(targets, follow_up.files(run), strict=True))


def _found(
    follow_up: FollowUp, cell: Cell, read: Callable[[str], tuple[Any, str]]
) -> dict[str, Any]:
    """Reads the results of a follow-up for the current networks, by their place in the run.

    Args:
        follow_up: follow-up of the sweep.
        cell: finished cell.
        read: reads a file, and returns its contents and the digest of its network.
    """
    found = {}
    for network, path in _by_network(follow_up, cell.path).items():
        with contextlib.suppress(InputError):  # the report warns of them
            content, known = read(path)
            if follow_up.is_current(path, known, os.path.join(cell.path, network)):
                found[network] = content
    return found


def _attacked(path: str) -> tuple[Any, str]:
    found = stored.read_attacks(path)
    return _kept(found, _ATTACKED), found["model"]


def _measured(path: str) -> tuple[Any, str]:
    found = stored.read_measures(path)
    return stored.measures_as_json(found), found.model


def _thinned(history: Sequence[Record], cell: Cell) -> list[Record]:
    """The evaluations every 1,000 iterations, those requested, and the last of each round."""
    asked = set(cell.flag("evaluate_at"))
    kept: list[Record] = []
    for _, group in itertools.groupby(history, key=lambda record: record["round"]):
        own, last = list(group), 0
        for record in own:
            number = record["iteration"]
            if number - last >= _EVERY or str(number) in asked or record is own[-1]:
                kept.append(record)
                last = number
    return kept


def _kept(content: Any, shape: Any) -> Any:
    """The parts of a JSON value that are in a shape."""
    if shape is None:
        return content
    if isinstance(shape, list):
        return [_kept(each, shape[0]) for each in content]
    return {name: _kept(content[name], own) for name, own in shape.items() if name in content}


def _lines(content: dict[str, Any]) -> str:
    """JSON with a line per cell, so that two files can be compared with diff."""
    cells = ",\n".join(json.dumps(cell) for cell in content["cells"])
    sweep, drawn = json.dumps(content["sweep"]), json.dumps(content["drawn"])
    return f'{{"sweep": {sweep},\n"cells": [\n{cells}\n],\n"drawn": {drawn}}}\n'
