"""Loads `.keras` files of Keras 3, after a check of what they name."""

import json
import os
import tempfile
import zipfile
from typing import Any

import tensorflow as tf

from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.reading import readable
from robust_sparse_tf.export.trust import entries

# Layers that hold code, or load it from a file.
_CODE = (
    "Lambda",
    "__lambda__",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "TorchModuleWrapper",
)
_FILES = ("vocabulary", "filepath")
_FUNCTIONS = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
_FUNCTION_MODULES = ("builtins", *(f"keras.{n}" for n in _FUNCTIONS))
_LARGEST_CONFIG = 100 << 20  # bytes


def keras3_logits(path: str, *, trust: bool = False) -> Logits:
    """Loads a model of Keras 3 as a callable from images to logits, in Keras' safe mode.

    Args:
        path: the file.
        trust: whether to load layers that hold code (Lambda, TFSMLayer), which may do anything.

    Raises:
        InputError: for a file that is refused or damaged, or if Keras 3 does not use TensorFlow.
    """
    import keras as keras3

    if keras3.backend.backend() != "tensorflow":
        raise InputError(
            f"model={path}: Keras 3 uses {keras3.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )
    with readable(path), tempfile.TemporaryDirectory() as folder:
        if not trust:
            _check(path)
        link = os.path.join(folder, "model.keras")  # Keras needs this ending
        os.symlink(os.path.abspath(path), link)
        model = keras3.saving.load_model(link, compile=False, safe_mode=not trust)

    def logits(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    return logits


def _check(path: str) -> None:
    """Refuses a configuration that holds code, reads a file, or names another package."""
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError(f"its configuration is above {_LARGEST_CONFIG:,} bytes")
        config = json.loads(archive.read("config.json"))
    for entry in entries(config):
        if reason := _refused(entry):
            raise InputError(
                f"model={path}: {reason}; give --trust (trust=True) only if you know who made it"
            )


def _refused(entry: dict[str, Any]) -> str:
    """The reason to refuse an entry; "" if it is allowed."""
    name, module, inner = entry["class_name"], entry.get("module"), entry.get("config")
    if str(name).rsplit(".")[-1] in _CODE:
        return f"holds code ({name})"
    arguments = inner if isinstance(inner, dict) else {}
    for argument in _FILES:
        if isinstance(arguments.get(argument), str):
            return f"reads a file ({argument}={arguments[argument]})"
    if name == "function" and module not in _FUNCTION_MODULES:
        return f"names {module}.{inner}, which is not part of a network"
    if module and module != "builtins" and str(module).split(".")[0] != "keras":
        return f"names {module}.{name}, a module that is not on the list (keras)"
    return ""
