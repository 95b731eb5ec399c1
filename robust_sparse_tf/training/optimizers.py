"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import dataclasses
import json

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option

ALPHA = "noise_alpha"
"""Name of the trainable factors of noise, which no weight penalty reaches; see `noise_layers`."""

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.training import inverse_decay


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """Options of the optimizer."""

    optimizer: str = option("adam", "optimizer", choices=("adam", "adamw", "sgd", "rmsprop"))
    learning_rate: float = option(1.2e-3, "initial learning rate", above=0)
    momentum: float = option(0.9, "momentum of sgd", minimum=0, maximum=1)
    nesterov: bool = option(False, "Nesterov's momentum, with sgd")
    weight_decay: float = option(
        0.0, "decoupled weight decay per step, with any optimizer", minimum=0
    )
    l2: float = option(
        0.0,
        "coupled weight decay, as in Caffe: this multiple of each weight and bias is added to its "
        "gradient",
        minimum=0,
    )
    weight_l1: float = option(
        0.0,
        "weight of the l1 norm of all kernels: this multiple of the sign of each weight is added "
        "to its gradient",
        minimum=0,
    )
    learning_rate_schedule: str | None = option(
        None,
        "InverseDecay, or a class of tf_keras.optimizers.schedules, such as CosineDecay",
        kind=str,
        shown="a constant rate",
    )
    learning_rate_arguments: str = option(
        "{}", 'other arguments of the schedule, as JSON: {"decay_steps": 1000}'
    )

    def __post_init__(self) -> None:
        check(self)

    def build(self) -> keras.optimizers.Optimizer:
        """A new optimizer.

        Raises:
            InputError: for an unknown schedule, or arguments that it does not take.
        """
        common = dict(learning_rate=self._rate(), weight_decay=self.weight_decay or None)
        if self.optimizer == "sgd":
            common |= dict(momentum=self.momentum, nesterov=self.nesterov)
        if self.optimizer == "adamw":
            common["weight_decay"] = self.weight_decay
        makers = dict(
            sgd=keras.optimizers.SGD,
            adam=keras.optimizers.Adam,
            adamw=keras.optimizers.AdamW,
            rmsprop=keras.optimizers.RMSprop,
        )
        maker = makers[self.optimizer]
        if self.l2 or self.weight_l1:
            maker = _coupled(maker, self.l2, self.weight_l1)
        made = maker(**common)
        made.exclude_from_weight_decay(var_names=[ALPHA])
        return made

    def _rate(self) -> float | keras.optimizers.schedules.LearningRateSchedule:
        if not self.learning_rate_schedule:
            return self.learning_rate
        schedules = {
            name: value
            for name, value in vars(keras.optimizers.schedules).items()
            if isinstance(value, type) and name != "LearningRateSchedule"
        }
        schedules["InverseDecay"] = inverse_decay.InverseDecay
        if self.learning_rate_schedule not in schedules:
            raise InputError(
                f"learning_rate_schedule={self.learning_rate_schedule}: must be one of "
                + ", ".join(sorted(schedules))
            )
        schedule = schedules[self.learning_rate_schedule]
        try:
            arguments = json.loads(self.learning_rate_arguments)
            if schedule is not keras.optimizers.schedules.PiecewiseConstantDecay:
                arguments = {"initial_learning_rate": self.learning_rate, **arguments}
            built = schedule(**arguments)
            float(built(0))  # wrong arguments may raise only here
            return built
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise InputError(
                f"learning_rate_arguments={self.learning_rate_arguments}: "
                f"not arguments of {self.learning_rate_schedule} ({error})"
            ) from error


def _coupled(
    maker: type[keras.optimizers.Optimizer], l2: float, weight_l1: float
) -> type[keras.optimizers.Optimizer]:
    """Adds weight penalties to the gradients of an optimizer, before its moments."""

    class Coupled(maker):
        def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
            if ALPHA in variable.name:
                super().update_step(gradient, variable)
                return
            if l2:
                gradient += l2 * variable
            if weight_l1 and variable.shape.rank > 1:  # kernels
                gradient += weight_l1 * tf.sign(variable)
            super().update_step(gradient, variable)

    return Coupled
