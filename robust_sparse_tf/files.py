"""Files that are complete or absent, and errors that name the file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WriteError(OSError):
    """A file that cannot be written; names it."""


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns failures of writing, TensorFlow's too, into a `WriteError` that names `path`."""
    try:
        yield
    except _refused() as error:
        # "PATH; reason [Op:NAME]", and sometimes more lines.
        reason = str(error).splitlines()[0].rsplit("; ", 1)[-1].split(" [Op:")[0]
        raise WriteError(errno.EIO, reason, path) from error
    except OSError as error:
        raise WriteError(error.errno or errno.EIO, error.strerror or str(error), path) from error


@contextlib.contextmanager
def complete(path: str) -> Iterator[BinaryIO]:
    """A binary file to write, which appears as `path` only when all of it is on the disk.

    Raises:
        WriteError: naming `path`, when it cannot be written.
    """
    partial = path + ".partial"
    with naming(path):
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


def write_json(path: str, content: Any) -> None:
    """Writes a JSON file; raises as `complete` does."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: str, text: str) -> None:
    """Writes a text file; raises as `complete` does."""
    with complete(path) as file:
        file.write(text.encode())


def write_npz(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as an `.npz` file; raises as `complete` does."""
    with complete(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def write_figure(figure: Figure, path: str, dpi: int = 100) -> None:
    """Writes a figure as PNG, tightly laid out where it has no layout of its own.

    Raises:
        WriteError: naming `path`, when it cannot be written.
    """
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    with complete(path) as file:
        figure.savefig(file, format="png", dpi=dpi)


def _refused() -> tuple[type[BaseException], ...]:
    """What TensorFlow's file system makes of a full disk, a file too large and a forbidden one."""
    if (tf := sys.modules.get("tensorflow")) is None:
        return ()
    errors = tf.errors
    return (
        errors.ResourceExhaustedError,
        errors.OutOfRangeError,
        errors.PermissionDeniedError,
    )
