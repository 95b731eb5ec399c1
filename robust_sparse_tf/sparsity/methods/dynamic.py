"""Base of dynamic methods: some weights are dropped, and others grow."""

from __future__ import annotations

import abc
import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods import schedule
from robust_sparse_tf.sparsity.methods.base import (
    Batches,
    Change,
    LayerState,
    Scheduled,
    Targeted,
    layer_states,
    set_masks,
)
from robust_sparse_tf.sparsity.methods.static import random_masks

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras


@dataclasses.dataclass(frozen=True)
class Dynamic(Targeted, Scheduled):
    """Drops the smallest active weights, and grows as many others by a grow score.

    Subclasses define the grow score. The number of weights per layer never changes. An update
    replaces the optimizer's step.
    """

    replaces_step = True
    grows = True

    _: dataclasses.KW_ONLY
    drop_fraction: float = option(
        0.3, "fraction of a layer's weights dropped at an update", minimum=0, maximum=1
    )
    drop_decay: str = option(
        "cosine",
        "how the drop fraction decays until stop_step; constant without one",
        choices=schedule.DECAYS,
    )
    decay_power: float = option(3.0, "power of the polynomial decay", above=0)
    update_interval: int = option(100, "steps between updates", unit="steps", minimum=1)
    start_step: int = option(0, "first step at which masks may change", unit="steps", minimum=0)
    stop_step: int | None = option(
        None,
        "step from which masks no longer change",
        unit="steps",
        minimum=0,  # files of old models have it for None
        kind=int,
        shown="none",
    )
    grow_std: float = option(
        0.0, "standard deviation of grown weights (0: they start at 0)", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stop_step and self.stop_step <= self.start_step:
            raise InputError(
                f"stop_step={self.stop_step}: must be above start_step={self.start_step}"
            )

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        """Draws random masks; a model that is already sparse keeps its own."""
        layers = layer_states(model)
        self.structures(layers)
        if all(bool(tf.reduce_all(layer.active)) for layer in layers):
            set_masks(model, random_masks(self, layers))

    def is_unfinished(self, step: int) -> bool:
        return not self.stop_step or step < self.stop_step

    def is_due(self, step: tf.Tensor) -> tf.Tensor:
        return schedule.is_due(
            step, start=self.start_step, stop=self.stop_step, interval=self.update_interval
        )

    def change(
        self, layers: list[LayerState], step: tf.Tensor, feedback: tf.Tensor | None = None
    ) -> list[Change]:
        numbers = self.numbers(layers, self.drops(layers, step), feedback)
        changes = []
        for layer, structure, number in zip(layers, self.structures(layers), numbers, strict=True):
            drop, grow = tf.abs(layer.weight), self.grow_scores(layer, step)
            changes.append(Change(*structure.swap(layer.active, drop, grow, *number)))
        return changes

    def numbers(
        self, layers: list[LayerState], drops: list[tf.Tensor], feedback: tf.Tensor | None
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Numbers of weights to drop and to grow per layer: by default equal; 0 in dense layers."""
        del feedback
        numbers = []
        for layer, number in zip(layers, drops, strict=True):
            number = tf.where(tf.reduce_all(layer.active), 0, number)
            numbers.append((number, number))
        return numbers

    def drops(self, layers: list[LayerState], step: tf.Tensor) -> list[tf.Tensor]:
        """Number of weights to drop per layer: int32, the drop fraction of active ones, rounded.

        It is 0 for layers that stay dense.
        """
        fraction = schedule.decayed(
            self.drop_fraction, self.drop_decay, step, stop=self.stop_step, power=self.decay_power
        )
        fixed = self.fixed_densities([layer.name for layer in layers])
        numbers = []
        for layer in layers:
            active = tf.math.count_nonzero(layer.active, dtype=tf.float32)
            number = tf.cast(tf.round(fraction * active), tf.int32)
            numbers.append(tf.zeros_like(number) if fixed.get(layer.name) == 1 else number)
        return numbers

    def initial(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor | None:
        if not self.grow_std:
            return None
        seeds = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(step, tf.int64) * 2**20])
        seeds += [1, layer.place]  # a different stream from that of `uniform`
        noise = tf.random.stateless_normal(layer.weight.shape, seeds, alg="philox")
        return self.grow_std * noise

    @abc.abstractmethod
    def grow_scores(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor:
        """The grow score of each weight: float32, at least 0, shaped as the layer."""
