"""The evaluations of a run in metrics.jsonl, one line of JSON each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

if TYPE_CHECKING:
    from robust_sparse_tf.procedures.records import Record

_FILE = "metrics.jsonl"
_SHAPE = {"round": int, "iteration": int, "density": (int, float), "validation": dict, "test": dict}


def read(folder: str) -> list[Record]:
    """Reads the records in a run's directory, in order.

    Raises:
        OSError: if there are none.
        InputError: if the file is damaged.
    """
    path = os.path.join(folder, _FILE)
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    try:
        found = [json.loads(line) for line in lines]
        files.require_shape(found, [_SHAPE])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: holds no records of a run ({error})") from error
    return found


def write(folder: str, records: Iterable[Record]) -> None:
    """Rewrites the file."""
    files.write_text(os.path.join(folder, _FILE), "".join(map(_line, records)))


def append(folder: str, record: Record) -> None:
    """Appends a record."""
    path = os.path.join(folder, _FILE)
    with files.naming(path), open(path, "a") as file:
        file.write(_line(record))


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
