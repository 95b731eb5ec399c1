"""Growth by a moving average of the dense gradient."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState
from robust_sparse_tf.sparsity.methods.dynamic import Dynamic

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class EMAGrowth(Dynamic):
    """Grows weights with the largest exponential moving average of the gradient.

    Like `RigL`, but averages over many batches; the average needs as much memory as the weights.
    """

    _: dataclasses.KW_ONLY
    gradient_decay: float = option(
        0.9, "decay factor of the average per step", minimum=0, maximum=1
    )

    @property
    def remembers(self) -> bool:
        return True

    def remember(self, memory: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        del step
        return self.gradient_decay * memory + (1 - self.gradient_decay) * gradient

    def grow_scores(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor:
        return tf.abs(layer.gradient)
