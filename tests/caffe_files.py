"""Writes Caffe's files, byte by byte as protobuf has them, without the library's reader."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write(path: Path, layers: Sequence[Sequence[np.ndarray]], shape: Sequence[int] = ()) -> None:
    """A `.caffemodel` of layers of arrays; those without any, as ReLUs, hold none.

    Args:
        path: the file.
        layers: the arrays of each, as Caffe has them.
        shape: what all arrays say that theirs is; by default what it is.
    """
    net = [_field(1, b"mine")]
    for number, arrays in enumerate(layers):
        own = [_field(1, f"layer_{number}".encode()), _field(2, b"InnerProduct")]
        own += [_field(7, _blob(array, shape or array.shape)) for array in arrays]
        net.append(_field(100, b"".join(own)))
    path.write_bytes(b"".join(net))


def _blob(array: np.ndarray, shape: Sequence[int]) -> bytes:
    values = struct.pack(f"<{array.size}f", *array.ravel())
    sizes = b"".join(map(_varint, shape))
    return _field(5, values) + _field(7, _field(1, sizes))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
