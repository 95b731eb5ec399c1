"""Statistics of how sparse a model is."""

import math
import warnings
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import RunWarning
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity.flops import CONVOLUTIONS, multiply_accumulates
from robust_sparse_tf.sparsity.masked_model import sparse_models
from robust_sparse_tf.sparsity.wrapper import (
    MaskedWeight,
    PruneLowMagnitude,
    leaves,
    masked_weights,
)

_VALUE_BYTES = 4
_Counts: TypeAlias = Literal[
    "active", "outside", "size", "changed", "no_input", "no_output", "dense_bytes", "bytes"
]


class _Measures(TypedDict):
    density: float
    active: int
    outside: int
    size: int
    changed: int
    exploration: float
    no_input: int
    no_output: int
    dense_bytes: int
    bytes: int


class LayerStatistics(_Measures):
    """Statistics of one masked weight; `statistics` explains each."""

    encoding: str


class Statistics(_Measures):
    """Statistics of a model: all masked weights, the whole network, and each weight."""

    flops: float | None
    multiply_accumulates: int | None
    layers: dict[str, LayerStatistics]


def densities(model: keras.Model) -> tuple[float, dict[str, float]]:
    """The fraction of weights kept: over all prunable weights, and per layer.

    A model without masks has density 1 and no layers.
    """
    kept, total, layers = 0, 0, {}
    for entry in masked_weights(model):
        active = int(np.count_nonzero(_read(entry, entry.mask) | _read(entry, entry.weight)))
        layers[entry.name] = active / entry.size
        kept, total = kept + active, total + entry.size
    return (kept / total if total else 1.0), layers


def statistics(model: keras.Model) -> Statistics:
    """Measures how sparse a model is, what the last update changed, and its cost; as JSON values.

    It only reads masks and weights: nothing is traced, and no variable changes. A pruned weight
    that is not zero (assigned by hand, for example) counts as active, and a RunWarning gives the
    number of such weights. For all masked weights, and for each under its name in `layers`:

    - `density`: `active` / `size`.
    - `active`: number of weights whose mask is one, or that are not zero.
    - `outside`: number of pruned weights that are not zero; it should be 0.
    - `size`: number of weights, pruned ones included.
    - `changed`: number of mask entries that the last update changed; 0 without an update.
    - `exploration`: the fraction of weights that have been active at any time, the rate R_s of "Do
      We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization in Sparse
      Training" (Liu et al., 2021); the density if the method grows no weights.
    - `no_input`: output units whose whole fan-in in the layer is masked.
    - `no_output`: input units whose whole fan-out in the layer is masked. Units are the columns and
      rows of the weight's matrix; in convolutions they are the channels, which count if no weight
      is left at any position of the kernel. The two kernels of a separable layer are counted
      separately.
    - `dense_bytes`: 4 bytes per weight; for the whole model, per parameter (biases and moving
      statistics included, masks not).
    - `bytes`: the same, with each masked weight in the smallest of three encodings (in a tie, the
      first); see "Sparsity in Deep Learning" (Hoefler et al., 2021) on the formats:
        - `dense`: 4 size;
        - `bitmap`: size / 8, rounded up, + 4 active;
        - `csr` of the matrix [inputs, outputs]: (4 + i) active + 4 (inputs + 1), with column
          indices of i = 2 bytes up to 65,536 outputs, and of 4 above.
    - `encoding`: the name of the smallest encoding; only in `layers`.

    Only for the whole model:

    - `multiply_accumulates`: of one forward pass of one example, without biases: the sum, over the
      kernels of dense layers and convolutions, of active weights x output positions (input
      positions of transposed convolutions). Kernels without a mask count in full, and embeddings
      and other layers as 0. See `flops.multiply_accumulates`.
    - `flops`: `multiply_accumulates` as a fraction of the dense network's, in [0, 1]. Both are None
      if there is nothing to count, or the shape of the inputs is unknown.

    Args:
        model: a model from `sparsify`, an `AdversarialModel` of one, or any other model; without
            masks it has density 1 and no layers.
    """
    network = network_of(model)
    entries = list(masked_weights(network))
    masks, outside = [], []
    for entry in entries:
        mask, value = _read(entry, entry.mask), _read(entry, entry.weight)
        outside.append(int(np.count_nonzero(value & ~mask)))
        masks.append(mask | value)
    if any(outside):
        _tell_outside(network, entries, outside)
    explored = _explored(network, entries, masks)
    rows = zip(entries, masks, outside, _changed(network, entries), explored, strict=True)
    layers = [_measure(*row) for row in rows]

    def total(key: _Counts) -> int:
        return sum(layer[key] for layer in layers)

    active, size, every = total("active"), total("size"), _VALUE_BYTES * _parameters(network)
    pairs = list(zip(entries, layers, strict=True))
    kept, whole = multiply_accumulates(
        network, {id(entry.weight): layer["active"] for entry, layer in pairs}
    ) or (0, 0)
    return Statistics(
        density=active / size if size else 1.0,
        active=active,
        outside=total("outside"),
        size=size,
        changed=total("changed"),
        exploration=sum(explored) / size if size else 1.0,
        no_input=total("no_input"),
        no_output=total("no_output"),
        flops=kept / whole if whole else None,
        multiply_accumulates=kept if whole else None,
        dense_bytes=every,
        bytes=every - total("dense_bytes") + total("bytes"),
        layers={entry.name: layer for entry, layer in pairs},
    )


def _read(entry: MaskedWeight, variable: tf.Variable) -> np.ndarray:
    """Where a variable, shaped as the weight, is not zero: bool [inputs, outputs]."""
    return entry.to_matrix(tf.convert_to_tensor(variable)).numpy().astype(bool)


def _tell_outside(network: keras.Model, entries: list[MaskedWeight], outside: list[int]) -> None:
    names = [entry.name for entry, number in zip(entries, outside, strict=True) if number]
    warnings.warn(
        f"model {network.name}: {sum(outside)} pruned weights are not zero ({', '.join(names)}), "
        "and count as kept; store_masked sets them to zero",
        RunWarning,
        stacklevel=3,
    )


def _changed(network: keras.Model, entries: list[MaskedWeight]) -> list[int]:
    """Number of entries of each mask that the last update changed."""
    numbers: dict[int, int] = {}
    for model in sparse_models(network):
        own = tf.convert_to_tensor(model.changed).numpy().tolist()
        pairs = zip(masked_weights(model), own, strict=True)
        numbers |= {id(entry.mask): number for entry, number in pairs}
    return [numbers.get(id(entry.mask), 0) for entry in entries]


def _explored(
    network: keras.Model, entries: list[MaskedWeight], masks: list[np.ndarray]
) -> list[int]:
    """Number of weights per layer that have been active at any time, as far as it is known."""
    seen: dict[int, tf.Variable] = {}
    for model in sparse_models(network):
        pairs = zip(masked_weights(model), model.ever_active, strict=False)
        seen |= {id(entry.mask): ever for entry, ever in pairs}
    rows = [
        (entry, seen.get(id(entry.mask), entry.mask), mask)
        for entry, mask in zip(entries, masks, strict=True)
    ]
    return [int(np.count_nonzero(_read(entry, ever) | mask)) for entry, ever, mask in rows]


def _measure(
    entry: MaskedWeight, mask: np.ndarray, outside: int, changed: int, explored: int
) -> LayerStatistics:
    active, size = int(np.count_nonzero(mask)), mask.size
    no_input, no_output = _cut_off(entry, mask)
    encoding, smallest = _smallest(mask.shape, active)
    return LayerStatistics(
        density=active / size,
        active=active,
        outside=outside,
        size=size,
        changed=changed,
        exploration=explored / size,
        no_input=no_input,
        no_output=no_output,
        dense_bytes=_VALUE_BYTES * size,
        bytes=smallest,
        encoding=encoding,
    )


def _cut_off(entry: MaskedWeight, mask: np.ndarray) -> tuple[int, int]:
    """Numbers of output units without an active weight, and of such input units."""
    sides, groups, shape = 1, 1, entry.mask.shape
    if isinstance(entry.layer, CONVOLUTIONS):
        sides = math.prod(shape[:-2])
        groups = shape[-2] if entry.attribute == "depthwise_kernel" else entry.layer.groups
    # Input channels of a group feed only output channels of the same group.
    places = mask.reshape(sides, -1, groups, mask.shape[1] // groups)
    fed, used = places.any(axis=(0, 1)), places.any(axis=(0, 3))
    return int(np.count_nonzero(~fed)), int(np.count_nonzero(~used))


def _smallest(shape: tuple[int, int], active: int) -> tuple[str, int]:
    """The smallest encoding of a masked matrix [inputs, outputs], and its bytes."""
    inputs, outputs = shape
    index = 2 if outputs <= 2**16 else 4
    choices = {
        "dense": _VALUE_BYTES * inputs * outputs,
        "bitmap": -(-inputs * outputs // 8) + _VALUE_BYTES * active,
        "csr": (_VALUE_BYTES + index) * active + _VALUE_BYTES * (inputs + 1),
    }
    encoding = min(choices, key=choices.__getitem__)
    return encoding, choices[encoding]


def _parameters(network: keras.Model) -> int:
    """Number of parameters of the layers, equal to `strip(network).count_params()`."""
    sizes: dict[int, int] = {}
    for layer in leaves(network):
        inner = layer.layer if isinstance(layer, PruneLowMagnitude) else layer
        sizes |= {id(weight): weight.shape.num_elements() for weight in inner.weights}
    return sum(sizes.values())
