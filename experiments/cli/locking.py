"""Folders in which one process works at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from experiments.cli.command import BusyError


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Holds a folder, which is there, until the block or the process ends.

    Raises:
        BusyError: where another process holds it.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder}: another process works there; wait until it ends") from error
        yield
    finally:
        os.close(held)
