"""Magnitude pruning at once: the smallest weights go."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner, Targeted

with epy.lazy_imports():
    import tensorflow as tf


def magnitudes(layers: list[LayerState]) -> list[tf.Tensor]:
    """|w|, and -1 where a weight is pruned already."""
    return [tf.where(layer.active, tf.abs(layer.weight), -1.0) for layer in layers]


@dataclasses.dataclass(frozen=True)
class Magnitude(Targeted, Pruner):
    """Keeps the largest weights.

    "Learning both Weights and Connections for Efficient Neural Networks" (Han et al., 2015).
    """

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        return self.keep(layers, magnitudes(layers))
