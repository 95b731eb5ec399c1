"""Patterns of the zeros in kernels, by the rules with which the TFLite converter finds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.tensors import as_array

PATTERNS = ("dense", "random", "2:4", "block:4x1", "block:16x1")

_MINIMUM = 0.3  # zeros that make the converter store a layer sparse
# Zeros in whole blocks, as a fraction of all zeros, that make it store blocks: of float weights,
# and of blocks of 16, which it looks for in quantised weights only.
_IN_BLOCKS = {4: 0.9, 16: 0.8}


@dataclasses.dataclass(frozen=True)
class Pattern:
    """The pattern of a kernel's zeros.

    Attributes:
        kind: "dense" (less than 30 % zeros), "random", "2:4" (at most 2 of 4 neighbours along the
            inputs), "block:4x1" or "block:16x1" (inputs x outputs).
        density: fraction of the weights that are not zero.
        inputs: rows of the kernel as a matrix [inputs, outputs].
        matrix: whether the kernel is a matrix, as that of a fully connected layer.
    """

    kind: str
    density: float
    inputs: int
    matrix: bool


def pattern_of(kernel: np.ndarray) -> Pattern:
    """The pattern of a kernel's zeros; of several that fit, the one with the largest units.

    Args:
        kernel: numbers [..., inputs, outputs]; positions count as inputs.

    Raises:
        InputError: for anything else than numbers with two axes or more.
    """
    kernel = as_array("kernel", kernel)
    if kernel.ndim < 2 or not kernel.size or kernel.dtype.kind not in "fiub":
        raise InputError(f"kernel of shape {kernel.shape}: must be numbers [..., inputs, outputs]")
    zeros = kernel.reshape(-1, kernel.shape[-1]) == 0
    return Pattern(_kind(zeros), float(1 - zeros.mean()), len(zeros), kernel.ndim == 2)


def patterns_of(network: keras.Model) -> dict[str, Pattern]:
    """The patterns of a network's kernels, by the names of their weights."""
    return {name: pattern_of(weight.numpy()) for name, weight in _kernels(network)}


def _kernels(network: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    for weight in network.weights:
        name = weight.name.split(":")[0]
        # Embeddings are looked up, not multiplied; all formats store them dense.
        if weight.shape.rank > 1 and weight.dtype.is_floating and not name.endswith("embeddings"):
            yield name, weight


def _kind(zeros: np.ndarray) -> str:
    if zeros.mean() < _MINIMUM:
        return "dense"
    for size in (16, 4):
        if _in_blocks(zeros, size) > _IN_BLOCKS[size]:
            return f"block:{size}x1"
    groups = zeros[: len(zeros) // 4 * 4].reshape(-1, 4, zeros.shape[1])
    return "2:4" if groups.size and (groups.sum(1) >= 2).all() else "random"


def _in_blocks(zeros: np.ndarray, size: int) -> float:
    """The fraction of the zeros that whole blocks of inputs hold; a block cut off counts, too."""
    rest = -len(zeros) % size
    padded = np.pad(zeros, ((0, rest), (0, 0)), constant_values=True)
    blocks = padded.reshape(-1, size, zeros.shape[1]).all(1)
    return float(np.repeat(blocks, size, axis=0)[: len(zeros)].sum() / zeros.sum())
