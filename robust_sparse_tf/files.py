"""Atomic writing of files, and errors that name the file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from robust_sparse_tf.errors import reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WriteError(OSError):
    """A file cannot be written; the message names it."""


class DamagedError(ValueError):
    """A file is damaged; the message names it."""


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns errors of writing, including TensorFlow's, into a `WriteError` that names `path`."""
    try:
        yield
    except _refused() as error:
        # "PATH; reason [Op:NAME]", sometimes with more lines.
        told = reason(error).rsplit("; ", 1)[-1].split(" [Op:")[0]
        raise WriteError(errno.EIO, told, path) from error
    except OSError as error:
        raise WriteError(error.errno or errno.EIO, error.strerror or str(error), path) from error


@contextlib.contextmanager
def complete(path: str) -> Iterator[BinaryIO]:
    """Opens a binary file for writing; it appears as `path` only once all of it is on the disk.

    Raises:
        WriteError: naming `path`, if it cannot be written.
    """
    partial = path + ".partial"
    with naming(path), discarding(partial):
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


@contextlib.contextmanager
def discarding(partial: str) -> Iterator[None]:
    """Removes a half-written file or folder, to free the space on a full disk."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            remove(partial)
        raise


def remove(path: str) -> None:
    """Removes a file, or a folder with its contents."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def write_json(path: str, content: Any) -> None:
    """Writes a JSON file; raises the errors of `complete`."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: str, text: str) -> None:
    """Writes a text file; raises the errors of `complete`."""
    with complete(path) as file:
        file.write(text.encode())


def write_npz(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as an `.npz` file; raises the errors of `complete`."""
    with complete(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_json(path: str, shape: Any = dict) -> Any:
    """Reads a JSON file and checks its shape.

    Args:
        path: of the file.
        shape: a type or several; a list with the shape of all items; or a dictionary of shapes by
            key, where keys that end in "?" may be missing, and "*" is any key.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it holds no JSON, or JSON of another shape.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        found = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    require_shape(found, shape)
    return found


def require_shape(found: Any, shape: Any) -> None:
    """Raises ValueError for JSON of another shape; see `read_json`."""
    if wrong := _wrong(found, shape, "it"):
        raise ValueError(wrong)


def _wrong(found: Any, shape: Any, name: str) -> str:
    """Says why JSON does not have a shape; "" if it does.

    Args:
        found: the value that was read.
        shape: see `read_json`.
        name: name of the value, for the message.
    """
    kind: Any = type(shape) if isinstance(shape, dict | list) else shape
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        return f"{name} has the wrong type"
    parts: list[tuple[str, Any, Any]] = []
    if isinstance(shape, list):
        parts = [(f"{name}[{number}]", each, shape[0]) for number, each in enumerate(found)]
    elif isinstance(shape, dict) and "*" in shape:
        parts = [(key, each, shape["*"]) for key, each in found.items()]
    elif isinstance(shape, dict):
        needed = {key for key in shape if not key.endswith("?")}
        if missing := sorted(needed - set(found)):
            return f"{', '.join(missing)} of {name} missing"
        shapes = {key.removesuffix("?"): own for key, own in shape.items()}
        parts = [(key, found[key], own) for key, own in shapes.items() if key in found]
    return next(filter(None, (_wrong(each, own, key) for key, each, own in parts)), "")


def digest(path: str) -> str:
    """A hexadecimal digest of a file, or of a folder with the names of its files.

    Raises:
        OSError: if it does not exist or cannot be read.
    """
    whole = hashlib.sha256()
    names = [path]
    if os.path.isdir(path):
        names = sorted(os.path.join(place, n) for place, _, own in os.walk(path) for n in own)
    for name in names:
        with open(name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{os.path.relpath(name, path)} {content} ".encode())
    return whole.hexdigest()


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Reads the arrays of an `.npz` file, and checks that they are intact.

    Raises:
        OSError: if it does not exist or cannot be read.
        DamagedError: if the file is damaged, or not an `.npz` file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise DamagedError(f"{path}: {damaged} is damaged")
        with np.load(path) as stored:
            return dict(stored)
    except (OSError, DamagedError) as error:
        if isinstance(error, DamagedError) or error.errno in (errno.ENOENT, errno.EACCES):
            raise
        raise DamagedError(f"{path}: {error}") from error
    except Exception as error:  # any exception, as any byte may be wrong
        raise DamagedError(f"{path}: {str(error) or type(error).__name__}") from error


def write_figure(figure: Figure, path: str) -> None:
    """Writes a figure as PNG (150 dots per inch) and, beside it, as PDF, for papers.

    The layout is made tight if the figure has none of its own.

    Args:
        figure: the figure.
        path: path of the PNG; the PDF differs in its ending.

    Raises:
        WriteError: naming the file that cannot be written.
    """
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    with complete(path) as file:
        figure.savefig(file, format="png", dpi=150)
    with complete(os.path.splitext(path)[0] + ".pdf") as file:
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})


def _refused() -> tuple[type[BaseException], ...]:
    """Errors of TensorFlow's file system for a full disk, or a path that cannot be written."""
    if (tf := sys.modules.get("tensorflow")) is None:
        return ()
    errors = tf.errors
    return (
        errors.ResourceExhaustedError,
        errors.OutOfRangeError,
        errors.PermissionDeniedError,
        errors.FailedPreconditionError,
    )
