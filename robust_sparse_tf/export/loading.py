"""Loads models from files; the content decides the format, and is checked before it is loaded."""

import contextlib
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import h5py
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.attacks.precision import Float32, is_half
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.export.forms import form_of
from robust_sparse_tf.export.keras3_loading import keras3_logits
from robust_sparse_tf.export.onnx_file import onnx_graph
from robust_sparse_tf.export.packed import load_packed
from robust_sparse_tf.export.reading import as_path, objects, readable
from robust_sparse_tf.export.tflite_runner import tflite_graph
from robust_sparse_tf.export.trust import check
from robust_sparse_tf.options import checked

_UNPACKED = 100  # maximum expansion of compressed parts; Keras does not compress


def load(
    path: str | os.PathLike[str], *, trust: bool = False, modules: Sequence[str] = ()
) -> Logits:
    """Loads a model of any format, as a callable from images [batch, ...] to logits.

    Args:
        path: a SavedModel, or a `.keras` (of tf_keras or Keras 3), HDF5, `.tflite`, `.onnx` or
            packed file. A SavedModel is a program; a warning says so.
        trust: see `load_model`.
        modules: see `load_model`.

    Raises:
        InputError: for files that cannot be read, or that `load_model` refuses.
    """
    path, trust = as_path(path), checked("trust", trust, bool)
    modules, form = checked("modules", modules, list), form_of(path)
    if form == "saved_model":
        return _saved_model(path)
    if form == "tflite":
        return _in_graphs(path, tflite_graph)
    if form == "onnx":
        return _in_graphs(path, onnx_graph)
    if form == "keras3":
        return keras3_logits(path, trust=trust)
    model = load_model(path, trust=trust, modules=modules)

    def logits(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    return Float32(logits, half=True) if is_half(model) else logits


def load_model(
    path: str | os.PathLike[str], *, trust: bool = False, modules: Sequence[str] = ()
) -> keras.Model:
    """Loads a tf_keras model from a `.keras`, HDF5 or packed file; the model is not compiled.

    The configuration is checked first, because Keras imports and calls what it names. Classes and
    functions must be from Keras, tensorflow-model-optimization, this library or `modules`. Layers
    that hold code (Lambda) are refused.

    Args:
        path: the file; its name does not matter.
        trust: whether to skip these checks, which may run any code.
        modules: further modules that the file may name; they are imported.

    Raises:
        InputError: for a file that is refused or damaged, or holds no such model.
    """
    path, trust = as_path(path), checked("trust", trust, bool)
    form, known = form_of(path), objects(modules)
    if form == "packed":
        return load_packed(path, trust=trust, modules=modules)
    if form not in ("keras", "hdf5"):
        told = "is of Keras 3; " if form == "keras3" else ""
        raise InputError(
            f"model={path}: {told}must be a .keras, HDF5 or packed file, to be a tf_keras model"
        )
    with _named(path, ".keras" if form == "keras" else ".h5") as file, readable(path):
        config = _archive_config(file) if form == "keras" else _hdf5_config(file)
        if not trust:
            check(path, config, modules)
        safe = {} if form == "hdf5" else {"safe_mode": not trust}
        found = keras.models.load_model(file, known, compile=False, **safe)
        if not isinstance(found, keras.Model):
            raise ValueError("its configuration is not that of a model")
        return found


@contextlib.contextmanager
def _named(path: str, ending: str) -> Iterator[str]:
    """The file under a name with the ending of its format, which Keras needs."""
    if path.endswith(ending):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, f"model{ending}")
        os.symlink(os.path.abspath(path), link)
        yield link


def _archive_config(path: str) -> Any:
    """The configuration in a `.keras` file; checks that all parts are intact."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        size, packed = sum(part.file_size for part in parts), os.path.getsize(path)
        if size > _UNPACKED * packed:
            raise ValueError(f"{packed} bytes that become {size}")
        if len({part.filename for part in parts}) < len(parts):
            raise ValueError("several parts have the same name")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
        config = json.loads(archive.read("config.json"))
        if not isinstance(config, dict):
            raise ValueError("its configuration is not that of a model")
    # Not used, as the model is not compiled.
    return {key: value for key, value in config.items() if key != "compile_config"}


def _hdf5_config(path: str) -> Any:
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError("holds only weights, not a model")
        return json.loads(file.attrs["model_config"])


def _saved_model(path: str) -> Logits:
    warnings.warn(
        f"{path} is a SavedModel, which is a program: it can do anything that you can, so load "
        "only what you trust",
        RunWarning,
        stacklevel=3,
    )
    with readable(path):
        loaded = tf.saved_model.load(path)
        serve = loaded.signatures["serving_default"]
        entries, exits = serve.structured_input_signature[1], serve.structured_outputs
    if len(entries) != 1 or len(exits) != 1:
        counts = f"{len(entries)} inputs and {len(exits)} outputs"
        raise InputError(f"model={path}: has {counts}; must have one of each")
    (entry,), (exit_,) = entries, exits

    def logits(x: tf.Tensor) -> tf.Tensor:
        # `loaded` must stay alive, as it owns the variables.
        return loaded.signatures["serving_default"](**{entry: x})[exit_]

    return logits


def _in_graphs(path: str, read: Callable[[bytes], Logits]) -> Logits:
    """A file that an interpreter runs, by the function that reads its bytes."""
    with readable(path):
        with open(path, "rb") as file:
            content = file.read()
        try:
            return read(content)
        except InputError as error:
            raise InputError(f"model={path}: {error}") from error
