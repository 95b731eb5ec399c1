"""Checkpoints that survive a kill at any moment, and whose damage is detected."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np

from robust_sparse_tf import files
from robust_sparse_tf.errors import RunWarning
from robust_sparse_tf.options import checked, checked_path
from robust_sparse_tf.procedures.records import Standing

Checkpoint: TypeAlias = tuple[dict[str, np.ndarray], Standing]
"""The arrays of a checkpoint, and the position of the run."""

_KEEP = 2
_META = "meta"


class CheckpointStore:
    """A folder of checkpoints; the newest two are kept.

    A checkpoint is an `.npz` file. It is written under a temporary name and then renamed, so that
    it is always complete. Each array has a CRC-32, which detects later damage.

    Args:
        folder: created if missing.
        read_only: for workers of a distributed run that do not write.
    """

    def __init__(self, folder: str, *, read_only: bool = False) -> None:
        self.folder = folder = checked_path("folder", folder)
        self.read_only = checked("read_only", read_only, bool)
        os.makedirs(folder, exist_ok=True)

    def save(self, position: int, arrays: Mapping[str, np.ndarray], standing: Standing) -> None:
        """Writes the checkpoint of a position; positions must increase."""
        meta_bytes = np.frombuffer(json.dumps(standing).encode(), np.uint8)
        files.write_npz(self.path(position), {**arrays, _META: meta_bytes})
        for old in self._positions()[:-_KEEP]:
            os.remove(self.path(old))

    def load(self) -> Checkpoint | None:
        """The newest intact checkpoint, or None; a warning names damaged ones."""
        return next(self.all(), None)

    def all(self) -> Iterator[Checkpoint]:
        """All intact checkpoints, the newest first; see `load`."""
        for position in reversed(self._positions()):
            path = self.path(position)
            try:
                arrays = files.read_npz(path)
                standing: Standing = json.loads(arrays.pop(_META).tobytes())
            except (OSError, ValueError, KeyError) as error:
                warnings.warn(
                    f"checkpoint {path} is damaged ({error}); going back to the one before",
                    RunWarning,
                    stacklevel=2,
                )
                continue
            yield arrays, standing

    def path(self, position: int) -> str:
        """The file of the checkpoint of a position."""
        position = checked("position", position, int, minimum=0)
        return os.path.join(self.folder, f"{position:010d}.npz")

    def newest(self) -> int | None:
        """The position of the newest checkpoint, damaged or not; None if there is none."""
        return max(self._positions(), default=None)

    def is_empty(self) -> bool:
        """Whether there is no checkpoint."""
        return not self._positions()

    def _positions(self) -> list[int]:
        names = (os.path.splitext(name) for name in os.listdir(self.folder))
        return sorted(int(stem) for stem, end in names if end == ".npz" and stem.isdigit())
