"""Magnitude pruning: the smallest weights go."""

import dataclasses

import tensorflow as tf

from robust_sparse_tf.options import check, option
from robust_sparse_tf.sparsity.updater import Pruner
from robust_sparse_tf.sparsity.wrapper import MaskedWeight


@dataclasses.dataclass(frozen=True)
class Magnitude(Pruner):
    """Keeps the largest weights of each layer, the same density everywhere.

    "Learning both Weights and Connections for Efficient Neural Networks" (Han et al., 2015).
    """

    density: float = option(0.2, "fraction of each layer's weights kept", above=0, maximum=1)

    def __post_init__(self) -> None:
        check(self)

    def scores(self, entry: MaskedWeight) -> tf.Tensor:
        """See `Pruner.scores`."""
        return tf.abs(entry.weight)

    def counts(self, active: list[int], sizes: list[int]) -> list[int]:
        """See `Pruner.counts`; at least one weight stays in each layer."""
        wanted = [max(1, round(self.density * size)) for size in sizes]
        return [min(pair) for pair in zip(wanted, active, strict=True)]


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

    def __post_init__(self) -> None:
        check(self)

    def scores(self, entry: MaskedWeight) -> tf.Tensor:
        """See `Pruner.scores`."""
        return tf.abs(entry.weight)

    def counts(self, active: list[int], sizes: list[int]) -> list[int]:
        """See `Pruner.counts`; at least one weight stays in each layer."""
        del sizes
        rates = [self.prune_hidden] * (len(active) - 1) + [self.prune_output]
        pairs = zip(active, rates, strict=True)
        return [max(1, count - round(rate * count)) for count, rate in pairs]
