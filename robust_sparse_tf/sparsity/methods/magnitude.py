"""One-shot magnitude pruning."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner, Targeted

with epy.lazy_imports():
    import tensorflow as tf


def magnitudes(layers: list[LayerState]) -> list[tf.Tensor]:
    """|w|, and -1 for weights that are already pruned."""
    return [tf.where(layer.active, tf.abs(layer.weight), -1.0) for layer in layers]


@dataclasses.dataclass(frozen=True)
class Magnitude(Targeted, Pruner):
    """Keeps the weights with the largest magnitude.

    "Learning both Weights and Connections for Efficient Neural Networks" (Han et al., 2015).
    """

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        return self.keep(layers, magnitudes(layers))
