"""The progress of an evaluation on the disk."""

import json
import os
from collections.abc import Mapping

import numpy as np

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

_NAMES = ("done", "distance", "judged", "seconds", "queries")


class State:
    """What each attack has done so far, in one `.npz` file or, without one, nowhere.

    Args:
        path: the file, which need not exist.
        identity: what is evaluated, as JSON takes it.

    Raises:
        InputError: for a file of another evaluation, or none at all.
    """

    def __init__(self, path: str | None, identity: Mapping[str, object]) -> None:
        self._path, self._identity = path, json.dumps(identity, sort_keys=True)
        self._arrays: dict[str, np.ndarray] = {}
        if path is None or not os.path.exists(path):
            return
        try:
            with np.load(path) as stored:
                arrays = dict(stored)
            found = str(arrays.pop("identity"))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"state={path}: holds no state of an evaluation") from error
        if found != self._identity:
            raise InputError(
                f"state={path}: is of another model's data, attacks or seed; choose another file"
            )
        self._arrays = arrays

    def get(self, key: str, judged: np.ndarray) -> list[np.ndarray]:
        """(done, distance, judged, seconds, queries) of an attack, by default of one not begun."""
        if f"{key}/done" not in self._arrays:
            numbers = [np.zeros(len(judged), np.float32) for _ in range(3)]
            return [np.zeros(len(judged), bool), numbers[0], judged.copy(), *numbers[1:]]
        return [self._arrays[f"{key}/{name}"].copy() for name in _NAMES]

    def put(self, key: str, *values: np.ndarray) -> None:
        """Saves the same five."""
        if self._path is None:
            return
        for name, value in zip(_NAMES, values, strict=True):
            self._arrays[f"{key}/{name}"] = value.copy()
        files.write_npz(self._path, {"identity": np.array(self._identity), **self._arrays})
