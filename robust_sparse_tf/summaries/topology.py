"""Topology of networks: measures per layer, masks as pictures, histograms of weights."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import MaskedWeight, masked_weights
from robust_sparse_tf.sparsity.counting import Statistics
from robust_sparse_tf.summaries import log_format, writing
from robust_sparse_tf.summaries.writing import write_images, write_scalars, write_tensor

_COMPRESSION = 3  # of PNG: a higher one takes several times as long and saves a tenth
LARGEST = 512
"""Pixels along a side of a mask's picture; a larger mask is shown by blocks of weights."""


def write_statistics(found: Statistics, step: int) -> None:
    """Writes the measures of all layers for the plugin, and plain scalars of the whole network.

    The scalars are `network/<measure>` of `log_format.OF_NETWORK`.

    Args:
        found: from `sparsity.statistics`.
        step: steps of training done.
    """
    layers = {name: _with_churn({**layer}) for name, layer in found["layers"].items()}
    network = _with_churn({**found})
    rows = [
        [math.nan if row.get(name) is None else row[name] for name in log_format.OF_NETWORK]
        for row in (*layers.values(), network)
    ]
    write_tensor(
        log_format.TOPOLOGY,
        tf.constant(rows, tf.float64),
        step,
        layers=list(layers),
        sizes=[layer["size"] for layer in layers.values()],
        measures=log_format.OF_NETWORK,
    )
    write_scalars({f"network/{name}": network.get(name) for name in log_format.OF_NETWORK}, step)


def write_layers(found: Statistics, step: int) -> None:
    """Writes the measures of each layer as plain scalars `<measure>/<layer>`, of `OF_LAYERS`.

    TensorBoard takes about 100 bytes of memory for each, so they are for a few hundred points.
    """
    scalars: dict[str, float] = {}
    for layer, measures in found["layers"].items():
        own = _with_churn({**measures})
        scalars |= {f"{name}/{layer}": own[name] for name in log_format.OF_LAYERS}
    write_scalars(scalars, step)


def _with_churn(measures: dict[str, Any]) -> dict[str, Any]:
    """The measures with the share of weights that the last update changed."""
    return measures | {"churn": measures["changed"] / max(1, measures["size"])}


def write_histograms(model: keras.Model, step: int) -> None:
    """Writes a histogram of the kept weights of each masked layer, as `weights/<layer>`."""
    kept = {
        f"weights/{entry.name}": entry.weight.numpy()[entry.mask.numpy() != 0]
        for entry in masked_weights(network_of(model))
    }
    writing.write_histograms(kept, step)


class MaskWriter:
    """Writes masks as pictures, each only where it has changed since it was last written.

    For the plugin as `masks/<layer>` and, of the first layer, `inputs/<layer>`; the pictures are
    in the tab "Images" as `mask_pictures/<layer>`, too.
    """

    def __init__(self) -> None:
        self._last: dict[str, bytes] = {}

    def write(self, model: keras.Model, step: int) -> None:
        """Writes the masks that have changed.

        Args:
            model: with masked weights.
            step: steps of training done.
        """
        network = network_of(model)
        for place, entry in enumerate(masked_weights(network)):
            matrix = entry.to_matrix(tf.convert_to_tensor(entry.mask)).numpy() != 0
            packed = np.packbits(matrix).tobytes()
            if self._last.get(entry.name) == packed:
                continue
            self._last[entry.name] = packed
            _write_mask(entry, matrix, step)
            shape = _input_shape(network, entry) if place == 0 else None
            if shape:
                write_tensor(
                    log_format.INPUTS + entry.name,
                    matrix.mean(axis=1).reshape(shape).astype(np.float32),
                    step,
                    layer=entry.name,
                )


def _write_mask(entry: MaskedWeight, matrix: np.ndarray, step: int) -> None:
    image, block = picture(matrix)
    png = tf.io.encode_png(image[:, :, None], compression=_COMPRESSION).numpy()
    write_images({f"mask_pictures/{entry.name}": [png]}, image.shape, step)
    write_tensor(
        log_format.MASKS + entry.name,
        tf.constant(png),
        step,
        layer=entry.name,
        shape=matrix.shape,
        kernel=list(entry.mask.shape),
        block=block,
    )


def picture(matrix: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """A mask as gray values, 255 where all weights of a pixel are kept, 0 where none is.

    Args:
        matrix: bool [inputs, outputs].

    Returns:
        uint8 [rows, columns], neither above `LARGEST`, and the weights along each side of a pixel.
    """
    rows, columns = (math.ceil(size / LARGEST) for size in matrix.shape)
    if rows == columns == 1:
        return np.where(matrix, np.uint8(255), np.uint8(0)), (1, 1)
    kept, all_of = (_sums(values, rows, columns) for values in (matrix, np.ones_like(matrix)))
    image = np.clip(np.round(255 * kept / all_of), 1, 254)
    image = np.where(kept == 0, 0, np.where(kept == all_of, 255, image))
    return image.astype(np.uint8), (rows, columns)


def _sums(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Sums over blocks, of which the last may be smaller."""
    size = values.shape
    padded = np.pad(values.astype(np.int64), ((0, -size[0] % rows), (0, -size[1] % columns)))
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return blocks.sum(axis=(1, 3))


def _input_shape(network: keras.Model, entry: MaskedWeight) -> tuple[int, ...] | None:
    """The shape of an input whose places are the rows of the first layer's matrix, or None."""
    kernel = tuple(entry.mask.shape)
    if len(kernel) > 2:
        return kernel[:-1] if entry.attribute == "kernel" else None
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple) or None in shape[1:] or math.prod(shape[1:]) != kernel[0]:
        return None
    return shape[1:]
