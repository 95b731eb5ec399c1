"""SNFS, sparse momentum: growth by momentum, redistributed over the layers."""

from __future__ import annotations

import dataclasses
import math

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.methods.base import LayerState
from robust_sparse_tf.sparsity.methods.ema import EMAGrowth
from robust_sparse_tf.sparsity.structure import Channels, NOfM, parse

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class SNFS(EMAGrowth):
    """Redistributes the dropped weights over the layers in proportion to their mean momentum.

    "Sparse Networks from Scratch: Faster Training without Losing Performance" (Dettmers and
    Zettlemoyer, 2019), section 3 and algorithm 1. The momentum is that of the dense gradient; a
    layer's mean is over its active weights. The total number of weights never changes; weights that
    do not fit into a layer go to the others.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conv_structure not in (None, self.structure):
            raise InputError(
                f"conv_structure={self.conv_structure}: must be that of structure, "
                f"{self.structure}, because weights move between layers in whole units"
            )
        if isinstance(parse(self.structure), NOfM | Channels):
            raise InputError(
                f"structure={self.structure}: must not be n:m, because layers change their "
                "density, nor channels, because their size differs between layers"
            )

    def numbers(
        self, layers: list[LayerState], drops: list[tf.Tensor], feedback: tf.Tensor | None
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        del feedback
        size = math.prod(parse(self.structure).unit((1, 1)))
        dropped, rooms, shares = [], [], []
        for layer, number in zip(layers, drops, strict=True):
            active = tf.math.count_nonzero(layer.active, dtype=tf.int32)
            dropped.append(number // size)
            rooms.append((layer.size - active) // size + number // size)
            momentum = tf.where(layer.active, tf.abs(layer.gradient), 0.0)
            shares.append(tf.reduce_sum(momentum) / tf.cast(tf.maximum(active, 1), tf.float32))
        grown = size * apportion(tf.add_n(dropped), tf.stack(shares), tf.stack(rooms))
        return list(zip(drops, tf.unstack(grown), strict=True))


def apportion(total: tf.Tensor, shares: tf.Tensor, rooms: tf.Tensor) -> tf.Tensor:
    """Whole numbers in proportion to shares, at most the room of each, which sum to the total.

    Args:
        total: int32, at most the sum of the rooms.
        shares: float32 [n], at least 0.
        rooms: int32 [n].
    """
    given, shares = tf.zeros_like(rooms), tf.cast(shares, tf.float64)  # exact above 2^24
    for _ in range(rooms.shape[0]):
        left = tf.cast(total - tf.reduce_sum(given), tf.float64)
        open_shares = tf.where(given < rooms, shares + 1e-30, 0.0)
        parts = left * open_shares / tf.maximum(tf.reduce_sum(open_shares), 1e-30)
        given = tf.minimum(given + tf.cast(tf.floor(parts), tf.int32), rooms)
    # The rest from rounding, one by one where there is room.
    left = total - tf.reduce_sum(given)
    free = tf.cumsum(rooms - given, exclusive=True)
    return given + tf.clip_by_value(left - free, 0, rooms - given)
