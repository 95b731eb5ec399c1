"""Pruning at a constant rate per layer and round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from etils import epy

from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner
from robust_sparse_tf.sparsity.methods.magnitude import magnitudes
from robust_sparse_tf.sparsity.selection import keep_largest

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LayerRates(Pruner):
    """Prunes a fraction of the remaining weights per layer; the output layer has its own.

    "The Lottery Ticket Hypothesis" (Frankle and Carbin, 2019), appendix C: 20 % of the hidden
    layers and 10 % of the output layer per round.
    """

    prune_hidden: float = option(
        0.2,
        "fraction of the remaining weights pruned per round, in hidden layers",
        minimum=0,
        maximum=1,
    )
    prune_output: float = option(
        0.1,
        "fraction of the remaining weights pruned per round, in the output layer",
        minimum=0,
        maximum=1,
    )

    prune_rounding: str = option(
        "nearest",
        "how the number of weights to prune is rounded",
        choices=("nearest", "down"),
    )
    prune_until: float = option(
        0.0, "fraction of a layer's weights at which pruning stops", minimum=0, maximum=1
    )
    dense_first: bool = option(False, "keep the first layer dense")
    dense_last: bool = option(False, "keep the last layer dense")

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        """See `Pruner.masks`; at least one weight per layer is kept."""
        whole: Callable[[float], int] = math.floor if self.prune_rounding == "down" else round
        rates = [self.prune_hidden] * (len(layers) - 1) + [self.prune_output]
        rates[0] = 0.0 if self.dense_first else rates[0]
        rates[-1] = 0.0 if self.dense_last else rates[-1]
        counts = [int(tf.math.count_nonzero(layer.active)) for layer in layers]
        least = [max(1, round(self.prune_until * layer.size)) for layer in layers]
        kept = [
            min(n, max(low, n - whole(rate * n)))
            for n, low, rate in zip(counts, least, rates, strict=True)
        ]
        pairs = zip(magnitudes(layers), kept, strict=True)
        return [keep_largest(scores, count) for scores, count in pairs]
