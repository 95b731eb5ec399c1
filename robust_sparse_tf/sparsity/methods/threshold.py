"""Magnitude pruning with one threshold for all layers."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner
from robust_sparse_tf.sparsity.methods.magnitude import magnitudes
from robust_sparse_tf.sparsity.selection import keep_largest

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold(Pruner):
    """Prunes the weights with a magnitude below gamma.

    "Sparse DNNs with Improved Adversarial Robustness" (Guo et al., 2018). All layers share gamma;
    if a density is given instead, gamma is solved for it.
    """

    gamma: float = option(0.0, "minimum magnitude of weights that are kept", minimum=0)
    solve_density: float | None = option(
        None,
        "density for which gamma is solved",
        minimum=0,  # files of old models have it for None
        maximum=1,
        kind=float,
        shown="gamma is given",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma and self.solve_density:
            raise InputError(f"gamma={self.gamma}: must be 0 if solve_density is given")

    def solved_gamma(self, layers: list[LayerState]) -> tf.Tensor:
        """The minimum magnitude of weights that are kept; float32."""
        if not self.solve_density:
            return tf.constant(self.gamma)
        whole = tf.concat([tf.reshape(scores, [-1]) for scores in magnitudes(layers)], 0)
        kept = keep_largest(whole, max(1, round(self.solve_density * whole.shape[0])))
        return tf.reduce_min(tf.where(kept, whole, float("inf")))

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        gamma = self.solved_gamma(layers)
        return [scores >= gamma for scores in magnitudes(layers)]
