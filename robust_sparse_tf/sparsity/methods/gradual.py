"""Gradual magnitude pruning, on tfmot's schedules."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import (
    Batches,
    Change,
    LayerState,
    Scheduled,
    Targeted,
    layer_states,
)
from robust_sparse_tf.sparsity.methods.magnitude import magnitudes

with epy.lazy_imports():
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras


@dataclasses.dataclass(frozen=True)
class GradualMagnitude(Targeted, Scheduled):
    """Prunes more and more of the smallest weights during training.

    "To prune, or not to prune" (Zhu and Gupta, 2017), equation 1, which is tfmot's
    `PolynomialDecay`: the fraction of weights pruned follows its schedule until the density is
    reached, in proportion in each layer. Pruned weights never grow again.
    """

    thins = True

    _: dataclasses.KW_ONLY
    initial_density: float = option(1.0, "density at start_step", above=0, maximum=1)
    start_step: int = option(0, "first step at which weights are pruned", unit="steps", minimum=0)
    stop_step: int = option(1000, "step at which the density is reached", unit="steps", minimum=1)
    update_interval: int = option(100, "steps between updates", unit="steps", minimum=1)
    decay_power: float = option(3.0, "power of the polynomial schedule", above=0)
    constant_density: bool = option(
        False, "prune to the density at start_step, like tfmot's ConstantSparsity"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stop_step <= self.start_step:
            raise InputError(
                f"stop_step={self.stop_step}: must be above start_step={self.start_step}"
            )
        if self.density > self.initial_density:
            raise InputError(
                f"density={self.density}: must be at most initial_density={self.initial_density}"
            )

    @property
    def schedule(self) -> tfmot.sparsity.keras.PruningSchedule:
        """tfmot's schedule: maps a step to (whether to prune, sparsity)."""
        common = dict(begin_step=self.start_step, frequency=self.update_interval)
        if self.constant_density:
            return tfmot.sparsity.keras.ConstantSparsity(1 - self.density, end_step=-1, **common)
        return tfmot.sparsity.keras.PolynomialDecay(
            1 - self.initial_density,
            1 - self.density,
            end_step=self.stop_step,
            power=self.decay_power,
            **common,
        )

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        """Prunes nothing yet; checks that the options fit the layers."""
        layers = layer_states(model)
        self.keep(layers, magnitudes(layers))

    def is_unfinished(self, step: int) -> bool:
        return step < self.stop_step

    def is_due(self, step: tf.Tensor) -> tf.Tensor:
        due = self.schedule(step)[0]
        # tfmot's schedule misses its last step if the interval does not divide the steps.
        return due if self.constant_density else due | tf.equal(step, self.stop_step)

    def change(
        self, layers: list[LayerState], step: tf.Tensor, feedback: tf.Tensor | None = None
    ) -> list[Change]:
        final = 1 - self.density
        progress = self.schedule(step)[1] / final if final else tf.constant(1.0)
        masks = self.keep(layers, magnitudes(layers), progress)
        return [
            Change(mask & layer.active, tf.zeros_like(mask))
            for mask, layer in zip(masks, layers, strict=True)
        ]
