"""Sizes of files and folders, compressed too, and the entropy bound of weights."""

import gzip
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.examples import require_built
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.tflite_kernels import tflite_kernels
from robust_sparse_tf.options import checked_path

_PART = 1 << 20  # bytes that are read at once


class Sizes(NamedTuple):
    """The size of a file or folder.

    Attributes:
        bytes: sum of the sizes of all files.
        gzip_bytes: size of one gzip stream (level 9, no time) of the contents of all files, one
            after the other in the order of their relative paths.
    """

    bytes: int
    gzip_bytes: int


def sizes(path: str) -> Sizes:
    """Measures a file, or all files in a folder.

    Raises:
        InputError: if it does not exist or cannot be read.
    """
    path = checked_path("path", path)
    if not os.path.isdir(path) and not os.path.isfile(path):
        raise InputError(f"path={path}: must be a file or folder that exists")
    count, packed = 0, _Counter()
    try:
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream:
            for part in _parts(path):
                count += len(part)
                stream.write(part)
    except OSError as error:
        raise InputError(f"path={path}: cannot be read ({error.strerror or error})") from error
    return Sizes(count, packed.count)


def entropy_bound(model: keras.Model | str) -> int:
    """The zeroth-order entropy of a model's weights, in bytes: what a simple coder could reach.

    A tensor of n floats, k of them not zero, counts n H(k / n) bits for the mask, where H is the
    binary entropy, and the bits of a value (32 for float32) for each of the k values. A tensor of
    integers, such as the codes of quantised weights, counts n times the entropy of its values'
    frequencies. Shapes, tables of codes and order are not counted, so it is no bound for coders
    that use patterns in the order of weights.

    Args:
        model: a built Sequential or functional tf_keras model, for all of its weights (masks are
            applied and not counted), or the path of a TFLite file, for its kernels only.

    Raises:
        InputError: for anything else.
    """
    if isinstance(model, str | os.PathLike):
        stored = tflite_kernels(os.fspath(model))
        bits = [_bits(kernel.values, kernel.size) for kernel in stored]
    else:
        network = plain(model)
        require_built(network)
        bits = [_bits(weight, weight.size) for weight in map(np.asarray, network.get_weights())]
    return math.ceil(sum(bits) / 8)


def _bits(values: np.ndarray, size: int) -> float:
    """The bound of a tensor of some size in bits; `values`: all, or all but some zeros."""
    if not size:
        return 0.0
    if np.issubdtype(values.dtype, np.integer):
        codes, counts = np.unique(values, return_counts=True)
        zeros = size - values.size
        return size * _entropy(np.append(counts[codes != 0], counts[codes == 0].sum() + zeros))
    kept = int(np.count_nonzero(values))
    return size * _entropy(np.array([kept, size - kept])) + 8 * values.itemsize * kept


def _entropy(counts: np.ndarray) -> float:
    """Bits per symbol of symbols with these counts."""
    rates = counts[counts > 0] / counts.sum()
    return float(-(rates * np.log2(rates)).sum()) + 0.0


def _parts(path: str) -> Iterator[bytes]:
    """The content of a file or of all files in a folder, piece by piece."""
    names = [path]
    if os.path.isdir(path):
        names = sorted(os.path.join(place, name) for place, _, own in os.walk(path) for name in own)
    for name in names:
        with open(name, "rb") as file:
            while part := file.read(_PART):
                yield part


class _Counter:
    """A file that only counts what is written."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, part: bytes) -> int:
        self.count += len(part)
        return len(part)

    def flush(self) -> None:
        pass
