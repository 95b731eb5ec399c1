"""Packed files for sharing: bit masks and non-zero weights in a safetensors file, no pickle."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, not_installed
from robust_sparse_tf.export.examples import require_built
from robust_sparse_tf.export.kernels import set_weights
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.reading import as_path, objects, readable
from robust_sparse_tf.export.trust import check
from robust_sparse_tf.options import checked, checked_path

_KEY = "robust_sparse_tf"  # the only entry of the metadata
_VERSION = 1
_SHAPES = {"version": int, "config": dict, "weights": [{"name": str, "dtype": str, "shape": list}]}
# Types that safetensors has in NumPy; others are stored as whole numbers of their size.
_STORED = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")


def to_packed(model: keras.Model, path: str) -> int:
    """Writes the stripped model as a packed file, from which each weight loads bit-identical.

    A safetensors file. Its metadata has one entry, "robust_sparse_tf": the format's version, the
    model's configuration as in a `.keras` file, and the name, type and shape of each weight, as
    JSON. The weight of number i is stored in the smaller of two ways: as the tensor "i", or as
    "i.mask" and "i.values". The mask has one bit per entry, set where it is not zero, in the order
    of the flat array, highest bit first; the values are these entries. If some zeros are negative,
    as pruning leaves them, "i.negative" has one bit per zero, so that no bit is lost.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: unless it is a built Sequential or functional tf_keras model, or if safetensors
            is not installed.
        WriteError: naming the path, if it cannot be written.
    """
    path, network = checked_path("path", path), plain(model)
    require_built(network)
    save = _safetensors().numpy.save
    tensors: dict[str, np.ndarray] = {}
    records = []
    for number, weight in enumerate(network.weights):
        value = weight.numpy()
        dtype = value.dtype.name
        records.append({"name": weight.name, "dtype": dtype, "shape": list(value.shape)})
        tensors |= _packed(str(number), value)
    config = keras.saving.serialize_keras_object(network)
    config.pop("compile_config", None)
    metadata = {"version": _VERSION, "config": config, "weights": records}
    content = save(tensors, {_KEY: json.dumps(metadata)})
    with files.complete(path) as file:
        file.write(content)
    return len(content)


def load_packed(
    path: str | os.PathLike[str], *, trust: bool = False, modules: Sequence[str] = ()
) -> keras.Model:
    """Loads the tf_keras model of a packed file; it is not compiled.

    Args:
        path: the file.
        trust: see `load_model`.
        modules: see `load_model`.

    Raises:
        InputError: for a file that is refused or damaged, or holds no such model.
    """
    path, trust = as_path(path), checked("trust", trust, bool)
    known = objects(modules)
    safetensors = _safetensors()
    if not os.path.isfile(path):
        raise InputError(f"model={path}: must be a packed file")
    with readable(path), safetensors.safe_open(path, framework="np") as file:
        metadata = json.loads((file.metadata() or {}).get(_KEY, "null"))
        if metadata is None:
            raise ValueError("holds arrays and no model")
        files.require_shape(metadata, _SHAPES)
        if metadata["version"] != _VERSION:
            raise ValueError(f"has version {metadata['version']}; must be {_VERSION}")
        config, records = metadata["config"], metadata["weights"]
        if not trust:
            check(path, config, modules)
        found = keras.saving.deserialize_keras_object(config, known, safe_mode=not trust)
        if not isinstance(found, keras.Model):
            raise ValueError("its configuration is not that of a model")
        _require_fitting(found, records)
        names = set(file.keys())
        values = [
            _unpacked(file, names, str(number), record) for number, record in enumerate(records)
        ]
        set_weights(found, values)
        return found


def _packed(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors of one weight, in the smaller of the two ways."""
    bits = _bits(value)
    sign = _sign(value.dtype)
    kept = (bits & ~sign) != 0
    flat = bits if value.dtype.name not in _STORED else bits.view(value.dtype)
    found = {f"{name}.mask": np.packbits(kept), f"{name}.values": flat[kept]}
    negative = bits[~kept] != 0
    if negative.any():
        found[f"{name}.negative"] = np.packbits(negative)
    if sum(tensor.nbytes for tensor in found.values()) < bits.nbytes:
        return found
    return {name: flat.reshape(value.shape)}


def _unpacked(file: Any, names: set[str], name: str, record: dict[str, Any]) -> np.ndarray:
    """A weight in its type and shape."""
    dtype, shape = np.dtype(tf.as_dtype(record["dtype"]).as_numpy_dtype), record["shape"]
    if name in names:
        return file.get_tensor(name).view(dtype).reshape(shape)
    kept = _mask(file, f"{name}.mask", math.prod(shape))
    values = file.get_tensor(f"{name}.values")
    if values.itemsize != dtype.itemsize or values.shape != (np.count_nonzero(kept),):
        raise ValueError(f"{name}.values does not fit the mask")
    bits = np.zeros(kept.size, f"u{dtype.itemsize}")
    bits[kept] = _bits(values)
    if f"{name}.negative" in names:
        negative = _mask(file, f"{name}.negative", kept.size - values.size)
        bits[~kept] = np.where(negative, _sign(dtype), 0)
    return bits.view(dtype).reshape(shape)


def _bits(value: np.ndarray) -> np.ndarray:
    """The bits of an array's entries, flat, as whole numbers."""
    return np.ascontiguousarray(value).reshape(-1).view(f"u{value.itemsize}")


def _sign(dtype: np.dtype) -> np.unsignedinteger:
    """The bit of a float that makes it negative; 0 for other types."""
    floating = tf.as_dtype(dtype).is_floating
    bit = 1 << (8 * dtype.itemsize - 1) if floating else 0
    return np.dtype(f"u{dtype.itemsize}").type(bit)


def _mask(file: Any, name: str, size: int) -> np.ndarray:
    """A mask of some size, of type bool; a file cannot make it larger than itself times 8."""
    packed = file.get_tensor(name)
    if packed.dtype != np.uint8 or packed.shape != (-(-size // 8),):
        raise ValueError(f"{name} does not fit its shape")
    bits = np.unpackbits(packed)
    if bits[size:].any():
        raise ValueError(f"{name} has bits beyond its shape")
    return bits[:size].astype(bool)


def _require_fitting(network: keras.Model, records: list[dict[str, Any]]) -> None:
    """Raises ValueError unless the weights of a model have the types and shapes of the file's."""
    own = [(weight.dtype.name, list(weight.shape)) for weight in network.weights]
    if own != [(record["dtype"], record["shape"]) for record in records]:
        raise ValueError("its weights are not those of its model")


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise not_installed("safetensors", "export") from error
    return safetensors
