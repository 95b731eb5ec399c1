"""SET, sparse evolutionary training: random growth."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.sparsity.methods.base import LayerState, uniform
from robust_sparse_tf.sparsity.methods.dynamic import Dynamic

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class SET(Dynamic):
    """Grows random weights.

    "Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity inspired by
    Network Science" (Mocanu et al., 2018), algorithm 1; weights of both signs are dropped by |w|,
    as is usual.
    """

    def grow_scores(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor:
        return uniform(self.seed, layer, step)
