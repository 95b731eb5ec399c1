"""Decodes sparse-encoded tensors of TFLite files.

The format is that of "The Tensor Algebra Compiler" (Kjolstad et al., 2017), section 3, with blocks:
a tree with one level per axis, the outer axes first and then those inside the blocks.
"""

from typing import Any

import numpy as np

_DENSE = 0  # format of a level at which all positions are stored


def decoded(values: np.ndarray, shape: tuple[int, ...], sparsity: Any) -> np.ndarray:
    """Returns the dense tensor.

    Args:
        values: the stored values, in the order of the leaves of the tree.
        shape: shape of the tensor.
        sparsity: `SparsityParametersT` of the file.

    Raises:
        ValueError, IndexError: for damaged parameters.
    """
    levels = [int(axis) for axis in sparsity.traversalOrder]
    blocked = [] if sparsity.blockMap is None else [int(axis) for axis in sparsity.blockMap]
    places = _leaves(sparsity.dimMetadata, int(np.prod(shape)))
    found = [np.zeros(places.shape[1], np.int64) for _ in shape]
    sizes = dict(zip(levels, [int(level.denseSize) for level in sparsity.dimMetadata], strict=True))
    for axis, place in zip(levels, places, strict=True):
        if axis < len(shape):
            inner = len(shape) + blocked.index(axis) if axis in blocked else None
            found[axis] += place * (1 if inner is None else sizes[inner])
        else:
            found[blocked[axis - len(shape)]] += place
    dense = np.zeros(shape, values.dtype)
    dense[tuple(found)] = values
    return dense


def _leaves(levels: list[Any], most: int) -> np.ndarray:
    """The positions of all leaves at each level, `most` or fewer: int64 [levels, leaves]."""
    places = np.zeros([0, 1], np.int64)
    for level in levels:
        count = places.shape[1]
        if level.format == _DENSE:
            if count * level.denseSize > most:  # before memory is used for them
                raise ValueError("a sparse tensor has more values than its shape")
            parents = np.repeat(np.arange(count), level.denseSize)
            own = np.tile(np.arange(level.denseSize), count)
        else:
            segments = np.asarray(level.arraySegments.values, np.int64)
            parents = np.repeat(np.arange(count), np.diff(segments))
            own = np.asarray(level.arrayIndices.values, np.int64)
        places = np.concatenate([places[:, parents], own[None]])
    return places
