"""Files that are complete or absent, and errors that name the file."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO

import tensorflow as tf

# What TensorFlow's file system makes of a full disk, a file too large and a forbidden one.
_REFUSED = (
    tf.errors.ResourceExhaustedError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
)


class WriteError(OSError):
    """A file that cannot be written; names it."""


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns failures of writing, TensorFlow's too, into a `WriteError` that names `path`."""
    try:
        yield
    except _REFUSED as error:
        # "PATH; reason [Op:NAME]", and sometimes more lines.
        reason = error.message.splitlines()[0].rsplit("; ", 1)[-1].split(" [Op:")[0]
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
