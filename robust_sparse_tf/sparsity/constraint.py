"""Attaches a mask to a weight's variable, so that every optimizer keeps it."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

Constraint = Callable[[tf.Tensor], tf.Tensor]


class MaskConstraint:
    """A variable's constraint: the user's own, if any, followed by the mask.

    All tf_keras optimizers, including legacy ones, apply a variable's constraint after each update,
    in any model or training loop.

    Args:
        mask: of the weight's shape.
        own: the constraint that the variable had before.
    """

    def __init__(self, mask: tf.Variable, own: Constraint | None = None) -> None:
        self.mask, self.own = mask, own
        self.on_update: Callable[[], None] | None = None
        """Called when an update of the weight is traced or runs eagerly."""

    def __call__(self, weight: tf.Tensor) -> tf.Tensor:
        """Returns the constrained weight."""
        if self.on_update is not None:
            self.on_update()
        return (weight if self.own is None else self.own(weight)) * self.mask


def hold(weight: tf.Variable, mask: tf.Variable) -> MaskConstraint:
    """Attaches a mask to a weight's variable; replaces one that is already attached."""
    own = weight.constraint
    if isinstance(own, MaskConstraint):
        if own.mask is mask:
            return own
        own = own.own
    constraint = MaskConstraint(mask, own)
    variable = getattr(weight, "_variable", weight)  # inside an AutoCastVariable
    for component in getattr(variable, "values", [variable]):  # one per replica
        component._constraint = constraint
    return constraint


def _finalize(finalize: Callable[..., None]) -> Callable[..., None]:
    def finalize_variable_values(self: Any, var_list: Sequence[tf.Variable]) -> None:
        """Assigns the averages of weights, if the optimizer has any; masked weights stay masked."""
        finalize(self, var_list)
        for variable in var_list if self.use_ema else ():
            constraint = getattr(variable, "constraint", None)
            if isinstance(constraint, MaskConstraint):
                store(variable, constraint.mask)

    return finalize_variable_values


# tf_keras assigns averages of weights (use_ema=True) without the constraint; after pruning between
# two fits, or in a user's own loop, they still hold the weights before masking.
keras.optimizers.Optimizer.finalize_variable_values = _finalize(
    keras.optimizers.Optimizer.finalize_variable_values
)


def store(weight: tf.Variable, mask: tf.Variable) -> None:
    """Sets pruned weights to zero, in cross-replica context."""
    strategy = getattr(weight, "distribute_strategy", None) or tf.distribute.get_strategy()
    strategy.extended.update(weight, lambda own, m: own.assign(own * m), args=(mask,))
