"""The formats of model files, by content; this module does not need TensorFlow."""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator

from robust_sparse_tf.errors import InputError, reason

_ALLOWED = "a SavedModel, a .keras, .h5, .tflite, .onnx or packed .safetensors file"
_GRAPH = "saved_model.pb"
_METADATA = "metadata.json"  # part of a .keras file, with the version of Keras
_LARGEST_METADATA = 10_000  # bytes
_ONNX_VERSIONS = range(1, 64)
# How the second field of an ONNX file may begin: those of text or messages, one to ten.
_ONNX_FIELDS = bytes(8 * number + 2 for number in range(2, 11)) + b"\x28"
# Parts of a SavedModel or .keras file that hold times and versions only.
_NOT_CONTENT = (_METADATA, "fingerprint.pb", "keras_metadata.pb")


def form_of(path: str) -> str:
    """The format of a model by its content.

    Returns:
        "saved_model", "keras" (of tf_keras), "keras3", "hdf5", "tflite", "onnx" or "packed".

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
            begin = file.read(9)
    except OSError as error:
        raise unreadable(path, error) from error
    if begin.startswith(b"PK\x03\x04"):
        return "keras3" if _is_keras3(path) else "keras"
    if begin[:8] == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if begin[4:8] == b"TFL3":
        return "tflite"
    if begin[8:] == b"{" and 8 + int.from_bytes(begin[:8], "little") <= os.path.getsize(path):
        return "packed"
    if len(begin) > 2 and begin[0] == 8 and begin[1] in _ONNX_VERSIONS and begin[2] in _ONNX_FIELDS:
        return "onnx"
    raise InputError(f"model={path}: cannot be read: must be {_ALLOWED}, or is damaged")


def _is_keras3(path: str) -> bool:
    """Whether a zip file is a model of Keras 3; a damaged one is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_METADATA).file_size > _LARGEST_METADATA:
                return False
            version = json.loads(archive.read(_METADATA))["keras_version"]
        return int(version.split(".")[0]) >= 3
    except Exception:  # any exception, as any byte may be wrong
        return False


def digest(path: str) -> str:
    """A digest of a model's content, independent of file names and times.

    Args:
        path: see `loading.load`.

    Raises:
        InputError: for a file that holds no model, or is damaged.
    """
    whole, form = hashlib.sha256(), form_of(path)
    try:
        if form in ("keras", "keras3"):
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
