"""Static sparsity: random masks that never change."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner, Targeted, uniform

with epy.lazy_imports():
    import tensorflow as tf


def random_masks(method: Targeted, layers: list[LayerState]) -> list[tf.Tensor]:
    """Draws random masks of a method's density.

    Raises:
        InputError: for the distribution "global", which is uniform for random scores.
    """
    if method.distribution == "global":
        raise InputError("distribution=global: must be uniform, er or erk with random masks")
    return method.keep(layers, [uniform(method.seed, layer, -1) for layer in layers])


@dataclasses.dataclass(frozen=True)
class Static(Targeted, Pruner):
    """Random masks, chosen at initialisation, that never change.

    "The Unreasonable Effectiveness of Random Pruning" (Liu et al., 2022).
    """

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        return random_masks(self, layers)
