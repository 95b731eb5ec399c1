"""The formats of model files, by content; this module does not need TensorFlow."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator

from robust_sparse_tf.errors import InputError, reason

_ALLOWED = "a SavedModel, a .keras, .h5 or .tflite file"
_GRAPH = "saved_model.pb"
# Parts of a SavedModel or .keras file that hold times and versions only.
_NOT_CONTENT = ("metadata.json", "fingerprint.pb", "keras_metadata.pb")


def form_of(path: str) -> str:
    """The format of a model by its content: "saved_model", "keras", "hdf5" or "tflite".

    Raises:
        InputError: for any other file, or one that cannot be read.
    """
    if not os.path.exists(path):
        raise InputError(f"model={path}: does not exist")
    if os.path.isdir(path):
        if os.path.exists(os.path.join(path, _GRAPH)):
            return "saved_model"
        raise InputError(f"model={path}: must be {_ALLOWED}")
    if not os.path.isfile(path):  # reading a pipe would block for ever
        raise InputError(f"model={path}: must be {_ALLOWED}")
    try:
        with open(path, "rb") as file:
            begin = file.read(8)
    except OSError as error:
        raise unreadable(path, error) from error
    if begin.startswith(b"PK\x03\x04"):
        return "keras"
    if begin == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if begin[4:] == b"TFL3":
        return "tflite"
    raise InputError(f"model={path}: cannot be read: must be {_ALLOWED}, or is damaged")


def digest(path: str) -> str:
    """A digest of a model's content, independent of file names and times.

    Args:
        path: see `loading.load`.

    Raises:
        InputError: for a file that holds no model, or is damaged.
    """
    whole, form = hashlib.sha256(), form_of(path)
    try:
        if form == "keras":
            with zipfile.ZipFile(path) as archive:
                parts = [(name, archive.read(name)) for name in sorted(archive.namelist())]
        elif os.path.isdir(path):
            found = sorted(_files(path))
            parts = [(name, _content(os.path.join(path, name))) for name in found]
        else:
            parts = [("", _content(path))]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise unreadable(path, error) from error
    for name, content in parts:
        if name not in _NOT_CONTENT:
            whole.update(f"{name} {len(content)} ".encode() + content)
    return whole.hexdigest()


def unreadable(path: str, error: Exception) -> InputError:
    """The one-line error for a file that cannot be read."""
    return InputError(f"model={path}: cannot be read, is damaged or incomplete ({reason(error)})")


def _files(folder: str) -> Iterator[str]:
    """The files below a folder, by relative path."""
    for place, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in names)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
