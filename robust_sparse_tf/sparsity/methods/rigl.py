"""RigL: growth by the dense gradient."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState
from robust_sparse_tf.sparsity.methods.dynamic import Dynamic

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class RigL(Dynamic):
    """Grows the weights with the largest gradient of the loss.

    "Rigging the Lottery: Making All Tickets Winners" (Evci et al., 2020), algorithm 1.
    """

    _: dataclasses.KW_ONLY
    gradient_batches: int = option(
        1,
        "number of batches over which the gradient of an update is summed",
        unit="batches",
        minimum=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient_batches > self.update_interval:
            raise InputError(
                f"gradient_batches={self.gradient_batches}: must be at most "
                f"update_interval={self.update_interval}"
            )

    @property
    def remembers(self) -> bool:
        return self.gradient_batches > 1

    def remember(self, memory: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """The sum over the last batches until an update, the update's own included."""
        before = (self.start_step - step) % self.update_interval
        first = tf.equal(before, self.gradient_batches - 1)
        return tf.where(first, gradient, memory + gradient)

    def grow_scores(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor:
        return tf.abs(layer.gradient)
