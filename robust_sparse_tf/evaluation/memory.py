"""How many images are evaluated at a time, so that a network's activations fit into the memory."""

from typing import Any

import tf_keras as keras

from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.options import checked

BUDGET = 2e9  # bytes
LARGEST = 500  # images; more are no faster
_BYTES = 4  # of a float32
_KEPT = 2  # an activation, for the backward pass, and the gradient by it


def batch_size_for(model: Any, *, largest: int = LARGEST, branches: int = 1) -> int:
    """The number of images whose activations take at most 2 GB in an attack, and at least 1.

    Activations take 2 x 4 bytes x the entries of the outputs of all layers per image: the float32
    that the backward pass needs, and the gradient by it. So the number of images is
    2e9 / (8 x entries x branches), rounded down, and at most `largest`.

    Args:
        model: a tf_keras model, or one that trains it. For any other model, and layers without a
            fixed shape, nothing is known, and the result is `largest`.
        largest: the largest result, for networks of any size.
        branches: number of such batches at the same time.
    """
    largest = checked("largest", largest, int, minimum=1)
    branches = checked("branches", branches, int, minimum=1)
    entries = _entries(network_of(model))
    if not entries:
        return largest
    return max(1, min(largest, int(BUDGET / (_KEPT * _BYTES * entries * branches))))


def _entries(model: Any) -> int:
    """Entries of the outputs of all layers for one image, those inside of layers included."""
    if not isinstance(model, keras.Model):
        return 0
    total = 0
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if isinstance(inner, keras.Model):
            total += _entries(inner)
        elif not isinstance(inner, keras.layers.InputLayer):
            total += _of_shape(getattr(layer, "output_shape", None))
    return total


def _of_shape(shape: Any) -> int:
    if isinstance(shape, list):
        return sum(map(_of_shape, shape))
    if not isinstance(shape, tuple) or None in shape[1:]:
        return 0
    total = 1
    for size in shape[1:]:
        total *= size
    return total
