"""Stored progress of an evaluation."""

import json
import os
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning

_NAMES = ("done", "distance", "judged", "seconds", "queries")


class State:
    """The progress of each attack, in an `.npz` file; without a path, nothing is stored.

    If the file is damaged, or of another model, the evaluation starts again, with a warning.

    Args:
        path: the file, which need not exist.
        identity: data, attacks and seed of the evaluation, as JSON.
        model: identity of the model.

    Raises:
        InputError: for a file of another evaluation, or any other file.
    """

    def __init__(self, path: str | None, identity: Mapping[str, object], model: str) -> None:
        self._path, self._model = path, model
        self._identity = json.dumps(identity, sort_keys=True)
        self._arrays: dict[str, np.ndarray] = {}
        if path is not None and os.path.exists(path):
            self._arrays = self._stored(path)

    def _stored(self, path: str) -> dict[str, np.ndarray]:
        """The stored progress; empty if the evaluation must start again."""
        try:
            arrays = files.read_npz(path)
        except (OSError, files.DamagedError) as error:
            if not _was_archive(path):
                raise InputError(f"state={path}: {_NO_STATE}") from error
            return _afresh(path, f"is damaged ({error})")
        if "identity" not in arrays:
            raise InputError(f"state={path}: {_NO_STATE}")
        model, asked = arrays.pop("model", None), str(arrays.pop("identity"))
        if model is None:
            return _afresh(path, "does not name its model")
        if asked != self._identity:
            raise InputError(
                f"state={path}: is of other data, attacks or seeds; choose another file"
            )
        if str(model) != self._model:
            return _afresh(path, "is of another model than this one")
        return arrays

    def get(self, key: str, judged: np.ndarray) -> list[np.ndarray]:
        """Returns (done, distance, judged, seconds, queries) of an attack; by default not begun."""
        found = [self._arrays.get(f"{key}/{name}") for name in _NAMES]
        whole = [each.copy() for each in found if each is not None and len(each) == len(judged)]
        if len(whole) == len(_NAMES):
            return whole
        numbers = [np.zeros(len(judged), np.float32) for _ in range(3)]
        return [np.zeros(len(judged), bool), numbers[0], judged.copy(), *numbers[1:]]

    def put(self, key: str, *values: np.ndarray) -> None:
        """Saves the five arrays that `get` returns."""
        if self._path is None:
            return
        for name, value in zip(_NAMES, values, strict=True):
            self._arrays[f"{key}/{name}"] = value.copy()
        known = {"identity": np.array(self._identity), "model": np.array(self._model)}
        files.write_npz(self._path, {**known, **self._arrays})


_NO_STATE = "holds no state of an evaluation; delete it, or choose another file"


def _was_archive(path: str) -> bool:
    """Whether a damaged file was an archive; other files must not be overwritten."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        return zipfile.is_zipfile(path) or file.read(4) == b"PK\x03\x04"


def _afresh(path: str, why: str) -> dict[str, np.ndarray]:
    warnings.warn(f"{path} {why}: the evaluation starts again", RunWarning, stacklevel=5)
    return {}
