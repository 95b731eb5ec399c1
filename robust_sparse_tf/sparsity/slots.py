"""Slot variables of optimizers."""

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import shown


def as_optimizer(optimizer: Any) -> Any:
    """The tf_keras optimizer that is given to `compile`, itself or by name.

    Raises:
        InputError: for anything else.
    """
    try:
        return keras.optimizers.get(optimizer)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"optimizer={shown(optimizer)}: must be a tf_keras optimizer or its name"
        ) from error


def build(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Creates an optimizer's slots before its first step; works on legacy optimizers, too."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(inner, "get_slot_names"):
        inner._create_all_weights(variables)
    else:
        optimizer.build(variables)


def slots_of(optimizer: Any, weight: tf.Variable) -> Iterator[tuple[tf.Variable, float]]:
    """The slots of a weight in a built optimizer, each with its initial value.

    Works on tf_keras' optimizers, its legacy ones, and inside a LossScaleOptimizer.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "get_slot_names"):
        for name in optimizer.get_slot_names():
            yield optimizer.get_slot(weight, name), _first_value(optimizer, name)
        return
    number = optimizer._index_dict[optimizer._var_key(weight)]
    for name, slots in vars(optimizer).items():
        if name == "_variables" or not isinstance(slots, list) or len(slots) <= number:
            continue
        slot = slots[number]
        if isinstance(slot, tf.Variable) and slot.shape == weight.shape:
            yield slot, _first_value(optimizer, name)


def _first_value(optimizer: Any, name: str) -> float:
    if "accumulator" not in name:
        return 0.0
    legacy = getattr(optimizer, "_initial_accumulator_value", 0.0)
    return getattr(optimizer, "initial_accumulator_value", legacy)
