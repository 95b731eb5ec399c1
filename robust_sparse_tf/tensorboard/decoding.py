"""Makes values of the log's tensors, and says of those that it cannot read why."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard import shapes
from robust_sparse_tf.tensorboard.shapes import NUMBER, TEXT, WHOLE, Damage

LARGEST = 10**6
"""Numbers of an array that is sent."""

_PNG = b"\x89PNG\r\n\x1a\n"

_CONTENT = {
    log_format.TOPOLOGY: {"layers": [TEXT], "sizes": [NUMBER], "measures": [TEXT]},
    log_format.MASKS: {"shape": [WHOLE], "kernel": [WHOLE], "block": [WHOLE]},
}


class Table(NamedTuple):
    """Measures of the layers of a network, and of the whole as the last row."""

    about: Mapping[str, Any]
    numbers: np.ndarray  # float64 [layers + 1, measures]

    def of_network(self) -> dict[str, float]:
        """The measures of the whole network by name."""
        return dict(zip(self.about["measures"], self.numbers[-1].tolist(), strict=True))


class Examples(NamedTuple):
    """Images before and after an attack."""

    about: dict[str, Any]
    images: list[bytes]  # PNG: clean, adversarial, difference of each image


def kind_of(tag: str) -> str:
    """The kind of a tag: itself, or what stands before its first slash, with the slash."""
    head, slash, _ = tag.partition("/")
    return head + slash


@functools.lru_cache(maxsize=4096)
def content(kind: str, data: bytes) -> Mapping[str, Any]:
    """The plugin data of a tag.

    Raises:
        Damage: for data that are not ours, or of another version of the format.
    """
    version = shapes.parsed(data, {"version": WHOLE})["version"]
    if version != log_format.VERSION:
        raise Damage(
            f"version {version} of the log's format, only {log_format.VERSION} can be read"
        )
    return shapes.parsed(data, _CONTENT.get(kind, {}))


def decoded(tag: str, data: bytes, array: np.ndarray) -> Any:
    """The value of a point.

    Args:
        tag: of the point.
        data: the plugin's data of the tag.
        array: what was logged.

    Raises:
        Damage: for one that cannot be read.
    """
    kind = kind_of(tag)
    if kind not in _DECODERS:
        raise Damage("a tag that is not known")
    return _DECODERS[kind](content(kind, data), array)


def _object(shape: Any) -> Callable[[Mapping[str, Any], np.ndarray], Any]:
    def decode(about: Mapping[str, Any], array: np.ndarray) -> Any:
        return shapes.parsed(_strings(array, 0)[0], shape)

    return decode


def _strings(array: np.ndarray, rank: int) -> list[bytes]:
    """The strings of an array of a rank."""
    values = array.ravel().tolist()
    if array.ndim != rank or not all(isinstance(value, bytes) for value in values):
        raise Damage(f"{array.dtype} of shape {array.shape} instead of strings of rank {rank}")
    return values


def _table(about: Mapping[str, Any], array: np.ndarray) -> Table:
    layers, sizes, measures = about["layers"], about["sizes"], about["measures"]
    if len(layers) != len(sizes):
        raise Damage(f"{len(sizes)} sizes of {len(layers)} layers")
    shape = len(layers) + 1, len(measures)
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise Damage(f"{array.dtype} of shape {array.shape} instead of numbers of {shape}")
    return Table(about, array.astype(np.float64))


def _numbers(about: Mapping[str, Any], array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu" or array.size > LARGEST:
        raise Damage(f"{array.dtype} of shape {array.shape} instead of up to {LARGEST} numbers")
    return array.astype(np.float64)


def _picture(about: Mapping[str, Any], array: np.ndarray) -> bytes:
    return _png(_strings(array, 0)[0])


def _examples(about: Mapping[str, Any], array: np.ndarray) -> Examples:
    first, *images = _strings(array, 1) or [b""]
    known = shapes.parsed(first, shapes.EXAMPLES)
    if len(images) != 3 * len(known["items"]):
        raise Damage(f"{len(images)} images instead of 3 of each of {len(known['items'])} items")
    return Examples(known, [_png(image) for image in images])


def _png(data: bytes) -> bytes:
    if not data.startswith(_PNG):
        raise Damage("no PNG")
    return data


_DECODERS: dict[str, Callable[[Mapping[str, Any], np.ndarray], Any]] = {
    log_format.RUN: _object(shapes.RUN),
    log_format.TOPOLOGY: _table,
    log_format.MASKS: _picture,
    log_format.INPUTS: _numbers,
    log_format.ACCURACY: _object(shapes.ACCURACY),
    log_format.REPORT: _object(shapes.REPORT),
    log_format.MEASURES: _object(shapes.MEASURES),
    log_format.EXAMPLES: _examples,
    log_format.EXPORT: _object(shapes.EXPORT),
}
