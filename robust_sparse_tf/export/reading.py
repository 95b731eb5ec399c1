"""Helpers of all that reads model files: paths, the user's modules, errors in one line."""

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.forms import form_of, unreadable
from robust_sparse_tf.options import checked


def as_path(path: Any) -> str:
    """The path of a file, as a string; raises InputError unless it is one."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path={path!r}: must be the path of a file")
    return os.fsdecode(path)


def require_tflite(path: str) -> None:
    """Raises InputError unless a path is that of a TFLite file."""
    if form_of(path) != "tflite":
        raise InputError(f"path={path}: must be a TFLite file")


def tflite_content(path: str) -> bytes:
    """The bytes of a TFLite file; see `require_tflite`."""
    require_tflite(path)
    with open(path, "rb") as file:
        return file.read()


def objects(modules: Sequence[str]) -> dict[str, Any]:
    """The classes and functions of modules, by their names in files.

    Raises:
        InputError: for modules that cannot be imported.
    """
    found: dict[str, Any] = {}
    for name in checked("modules", modules, list):
        try:
            own = vars(importlib.import_module(name))
        except Exception as error:
            raise InputError(f"modules={name}: cannot be imported ({error})") from error
        found |= {key: each for key, each in own.items() if getattr(each, "__module__", "") == name}
    return found


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Turns anything that Keras and TensorFlow raise for a damaged file into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # any exception, as any byte may be wrong
        raise unreadable(path, error) from error
