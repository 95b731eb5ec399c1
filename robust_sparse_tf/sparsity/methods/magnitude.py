"""Magnitude pruning at once: the smallest weights go."""

import dataclasses
import math

import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState, Pruner, Targeted
from robust_sparse_tf.sparsity.selection import keep_largest


def magnitudes(layers: list[LayerState]) -> list[tf.Tensor]:
    """|w|, and -1 where a weight is pruned already."""
    return [tf.where(layer.active, tf.abs(layer.weight), -1.0) for layer in layers]


@dataclasses.dataclass(frozen=True)
class Magnitude(Targeted, Pruner):
    """Keeps the largest weights.

    "Learning both Weights and Connections for Efficient Neural Networks" (Han et al., 2015).
    """

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        """See `Pruner.masks`."""
        return self.keep(layers, magnitudes(layers))


@dataclasses.dataclass(frozen=True)
class LayerRates(Pruner):
    """Removes a fraction of what remains in each layer, another one in the output layer.

    "The Lottery Ticket Hypothesis" (Frankle and Carbin, 2019), appendix C: 20 % of the hidden
    layers and 10 % of the output layer a round.
    """

    prune_hidden: float = option(
        0.2,
        "fraction of the remaining weights removed a round, hidden layers",
        minimum=0,
        maximum=1,
    )
    prune_output: float = option(
        0.1, "fraction of the remaining weights removed a round, output layer", minimum=0, maximum=1
    )

    prune_rounding: str = option(
        "nearest",
        "how the number of weights that a layer loses is rounded",
        choices=("nearest", "down"),
    )
    prune_until: float = option(
        0.0, "fraction of a layer's weights at which it is pruned no more", minimum=0, maximum=1
    )

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        """See `Pruner.masks`; at least one weight stays in each layer."""
        whole = {"nearest": round, "down": math.floor}[self.prune_rounding]
        rates = [self.prune_hidden] * (len(layers) - 1) + [self.prune_output]
        counts = [int(tf.math.count_nonzero(layer.active)) for layer in layers]
        least = [max(1, round(self.prune_until * layer.size)) for layer in layers]
        kept = [
            min(n, max(low, n - whole(rate * n)))
            for n, low, rate in zip(counts, least, rates, strict=True)
        ]
        pairs = zip(magnitudes(layers), kept, strict=True)
        return [keep_largest(scores, count) for scores, count in pairs]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold(Pruner):
    """Removes the weights whose magnitude is below gamma.

    "Sparse DNNs with Improved Adversarial Robustness" (Guo et al., 2018). One gamma for all layers;
    where a density is wanted instead, gamma is solved for it.
    """

    gamma: float = option(0.0, "least magnitude of a weight that stays", minimum=0)
    solve_density: float = option(
        0.0, "density for which gamma is solved (0: gamma is given)", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma and self.solve_density:
            raise InputError(f"gamma={self.gamma}: must be 0 where solve_density is given")

    def solved_gamma(self, layers: list[LayerState]) -> tf.Tensor:
        """The least magnitude of those that stay; float32."""
        if not self.solve_density:
            return tf.constant(self.gamma)
        whole = tf.concat([tf.reshape(scores, [-1]) for scores in magnitudes(layers)], 0)
        kept = keep_largest(whole, max(1, round(self.solve_density * whole.shape[0])))
        return tf.reduce_min(tf.where(kept, whole, float("inf")))

    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        """See `Pruner.masks`."""
        gamma = self.solved_gamma(layers)
        return [scores >= gamma for scores in magnitudes(layers)]
