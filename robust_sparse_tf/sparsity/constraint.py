"""The mask that a weight's own variable carries, so that every optimizer keeps it."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

Constraint = Callable[[tf.Tensor], tf.Tensor]


class MaskConstraint:
    """A variable's constraint: the user's own, if any, and then the mask.

    tf_keras' optimizers, legacy ones too, apply a variable's constraint after each update, whatever
    model or loop the variable is trained in.

    Args:
        mask: of the weight's shape.
        own: the constraint that the variable had before.
    """

    def __init__(self, mask: tf.Variable, own: Constraint | None = None) -> None:
        self.mask, self.own = mask, own
        self.on_update: Callable[[], None] | None = None
        """Called where an update of the weight is traced, or eagerly made."""

    def __call__(self, weight: tf.Tensor) -> tf.Tensor:
        """The weight as it may be."""
        if self.on_update is not None:
            self.on_update()
        return (weight if self.own is None else self.own(weight)) * self.mask


def hold(weight: tf.Variable, mask: tf.Variable) -> MaskConstraint:
    """Lets a weight's variable carry a mask, in the place of one that it carries already."""
    own = weight.constraint
    if isinstance(own, MaskConstraint):
        if own.mask is mask:
            return own
        own = own.own
    constraint = MaskConstraint(mask, own)
    variable = getattr(weight, "_variable", weight)  # inside an AutoCastVariable
    for component in getattr(variable, "values", [variable]):  # one a replica
        component._constraint = constraint
    return constraint


def _finalize(finalize: Callable[..., None]) -> Callable[..., None]:
    def finalize_variable_values(self: Any, var_list: Sequence[tf.Variable]) -> None:
        """Assigns the averages, where the optimizer keeps some; masked weights stay masked."""
        finalize(self, var_list)
        for variable in var_list if self.use_ema else ():
            constraint = getattr(variable, "constraint", None)
            if isinstance(constraint, MaskConstraint):
                store(variable, constraint.mask)

    return finalize_variable_values


# Averages of weights (use_ema=True) are assigned without asking the constraint; in a user's own
# loop and after pruning between two fits they hold what the weight was before it was masked.
keras.optimizers.Optimizer.finalize_variable_values = _finalize(
    keras.optimizers.Optimizer.finalize_variable_values
)


def store(weight: tf.Variable, mask: tf.Variable) -> None:
    """Sets the pruned weights to zero, in cross-replica context."""
    strategy = getattr(weight, "distribute_strategy", None) or tf.distribute.get_strategy()
    strategy.extended.update(weight, lambda own, m: own.assign(own * m), args=(mask,))
