"""Export to Keras 3: a `.keras` file that Keras 3 loads without this library."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.export.examples import outputs, random_inputs, require_equal, require_numbers
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.models.layers import BinaryLogits, ParameterFreeShortcut
from robust_sparse_tf.options import checked_path
from robust_sparse_tf.sparsity.wrapper import leaves

Part: TypeAlias = tuple[str, dict[str, Any]]
"""A layer of Keras: (class, arguments)."""

# Arguments that tf_keras writes and Keras 3 does not know, with the value that changes nothing.
_NEUTRAL: dict[str, Any] = {"groups": 1, "time_major": False}
# Such arguments by layer, which serve training only.
_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_UNKNOWN = {
    "SeparableConv1D": _KERNEL,
    "SeparableConv2D": _KERNEL,
}


def to_keras3(model: keras.Model, path: str) -> int:
    """Writes the stripped model as a `.keras` file of Keras 3, in the precision of the model.

    Keras 3 reads no configuration of tf_keras, but old HDF5 files: the file goes through one. The
    layers of `rst.models` that Keras lacks become plain layers. Keras 3 loads the file again, and
    its outputs on random inputs are compared with the model's.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: for a path that does not end in `.keras`, for several inputs or outputs, and for
            layers that Keras 3 lacks.
        TrainingError: if the outputs differ.
        WriteError: naming the path, if it cannot be written.
    """
    path, network = checked_path("path", path), plain(model)
    if not path.endswith(".keras"):
        raise InputError(f"path={path}: must end in .keras, for Keras 3 to load it")
    require_numbers(network, "Keras 3")
    _require_known(network)
    inputs = random_inputs(network, network.inputs[0].shape[0] or 16)
    with tempfile.TemporaryDirectory() as folder:
        written = os.path.join(folder, "model.keras")
        with files.naming(path):
            found = _converted(network, folder, written, inputs)
        require_equal(path, "Keras 3", outputs(network, inputs), found)
        with open(written, "rb") as source, files.complete(path) as file:
            shutil.copyfileobj(source, file)
    return os.path.getsize(path)


def _require_known(network: keras.Model) -> None:
    """Raises InputError for layers that are not of Keras, or hold operations or code."""
    for layer in leaves(network):
        kind = type(layer)
        why = ""
        if kind.__name__ in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
            why = "is a TensorFlow operation, which Keras 3 lacks; use layers"
        elif issubclass(kind, keras.layers.Lambda):
            why = "holds code, which no file should; use a layer of Keras"
        elif not kind.__module__.startswith("tf_keras.") and kind not in _PARTS:
            why = f"is a {kind.__module__}.{kind.__name__}, which Keras 3 lacks"
        if why:
            raise InputError(f"model {network.name}: layer {layer.name} {why}")


def _shortcut(layer: ParameterFreeShortcut) -> list[Part]:
    """Every stride-th pixel, and channels of zeros, which are padded as rows."""
    channels = layer.filters - layer.input_shape[-1]
    return [
        ("AveragePooling2D", {"pool_size": [1, 1], "strides": [layer.strides, layer.strides]}),
        ("Permute", {"dims": [3, 1, 2]}),
        ("ZeroPadding2D", {"padding": [[0, channels], [0, 0]]}),
        ("Permute", {"dims": [2, 3, 1]}),
    ]


def _two_logits(layer: BinaryLogits) -> list[Part]:
    """A zero before the logit."""
    del layer
    return [
        ("Reshape", {"target_shape": [1, 1]}),
        ("ZeroPadding1D", {"padding": [1, 0]}),
        ("Flatten", {}),
    ]


# Layers of `rst.models` that Keras lacks, as plain layers one after the other.
_PARTS: dict[type, Callable[..., list[Part]]] = {
    ParameterFreeShortcut: _shortcut,
    BinaryLogits: _two_logits,
}


def _converted(network: keras.Model, folder: str, path: str, inputs: np.ndarray) -> np.ndarray:
    """Writes the file, loads it with Keras 3, and returns its outputs in float32."""
    import keras as keras3

    old = os.path.join(folder, "model.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HDF5 is called old
        with open(old, "wb") as file:
            file.write(_old_file(network))
        try:
            given = keras3.models.load_model(old, compile=False)
            if not isinstance(given, keras3.Sequential):  # takes a list of one input
                given = keras3.Model(given.inputs[0], given.outputs[0], name=given.name)
            given.save(path)
            loaded = keras3.models.load_model(path, compile=False, safe_mode=True)
            found = loaded(inputs, training=False)
        except OSError:
            raise
        except Exception as error:  # any exception of Keras 3
            why = reason(Exception(str(error).split("Exception encountered: ")[-1]))
            raise InputError(
                f"model {network.name}: cannot be converted to Keras 3 ({why})"
            ) from error
    return np.asarray(keras3.ops.convert_to_numpy(found), np.float32)


def _old_file(network: keras.Model) -> bytes:
    """The content of an HDF5 file that Keras 3 reads; HDF5 crashes if it writes to a full disk."""
    layers = {layer.name: layer for layer in leaves(network) if type(layer) in _PARTS}
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        network.save(file, save_format="h5", include_optimizer=False)
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(_known(config, layers))
    return content.getvalue()


def _known(config: Any, layers: Mapping[str, keras.layers.Layer]) -> Any:
    if isinstance(config, list):
        return [_known(each, layers) for each in config]
    if not isinstance(config, dict):
        return config
    kind = config.get("class_name")
    if kind == "Policy":  # of precision; its name is enough
        return config["config"]["name"]
    if kind in _UNKNOWN:
        own = config["config"].items()
        config = config | {"config": {k: v for k, v in own if k not in _UNKNOWN[kind]}}
    found = {
        key: _known(value, layers)
        for key, value in config.items()
        if not (key in _NEUTRAL and value == _NEUTRAL[key])
    }
    if isinstance(found.get("layers"), list):
        found["layers"] = [part for layer in found["layers"] for part in _parts(layer, layers)]
    return found


def _parts(config: Any, layers: Mapping[str, keras.layers.Layer]) -> list[Any]:
    """A layer, or the plain layers that replace it; the last one has its name."""
    name = config["config"].get("name")
    if name not in layers:
        return [config]
    parts, found = _PARTS[type(layers[name])](layers[name]), []
    nodes = config.get("inbound_nodes")
    for number, (kind, own) in enumerate(parts, 1):
        part = name if number == len(parts) else f"{name}_part_{number}"
        own = {"name": part, "dtype": config["config"].get("dtype"), **own}
        found.append({"class_name": kind, "config": own})
        if nodes is not None:  # of a functional model
            found[-1] |= {"name": part, "inbound_nodes": nodes}
            nodes = [[[part, call, 0, {}]] for call in range(len(nodes))]
    return found
