"""Locks folders, so that one process works there at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from experiments.cli.command import BusyError


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Locks an existing folder until the block or the process ends.

    Raises:
        BusyError: if another process has locked it.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder}: another process is using it; wait until it ends") from error
        yield
    finally:
        os.close(held)
