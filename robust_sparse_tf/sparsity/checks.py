"""Checks of the arguments of `compile` and `fit`, before sparse models train."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras.src.engine import compile_utils

from robust_sparse_tf.errors import InputError, RunWarning, reason
from robust_sparse_tf.models.heads import is_linear
from robust_sparse_tf.options import checked, shown, takes
from robust_sparse_tf.tensors import as_array
from robust_sparse_tf.values import check_images

_NAMES = {"x": "images", "y": "labels", "sample_weight": "weights"}
# Minimum values of integer arguments of tf_keras' methods.
_COUNTS = {
    "epochs": 1,
    "initial_epoch": 0,
    "batch_size": 1,
    "validation_batch_size": 1,
    "validation_freq": 1,
    "steps": 1,
    "steps_per_epoch": 1,
    "validation_steps": 1,
}
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")  # tf_keras chooses their form in `fit`


def check_compiled(network: keras.Model, given: Mapping[str, Any]) -> None:
    """Checks losses and metrics at once; tf_keras would do so only in training.

    A RunWarning names those that expect probabilities instead of logits.

    Args:
        network: Sequential or functional model.
        given: arguments of `compile`, by name.

    Raises:
        InputError: for anything that is not a loss or metric, for outputs that the model does not
            have, or for flags and numbers that tf_keras does not accept.
    """
    for name in ("jit_compile", "run_eagerly"):
        if given.get(name) is not None:
            checked(name, given[name], bool)
    steps = given.get("steps_per_execution")
    if steps is not None and not (isinstance(steps, str) and steps == "auto"):
        checked("steps_per_execution", steps, int, minimum=1)
    weights = tf.nest.flatten(given.get("loss_weights"))
    if len(weights) > len(network.output_names):  # tf_keras takes the first ones
        raise InputError(
            f"loss_weights={shown(given['loss_weights'])}: must be one for each of "
            f"{len(network.output_names)} outputs"
        )
    for weight in weights:
        if weight is not None:
            checked("loss_weights", weight, float)
    for name in ("loss", "metrics", "weighted_metrics"):
        value = given.get(name)
        try:
            _check_structure(name, value, network)
            found = [_found(name, each) for each in tf.nest.flatten(value)]
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise InputError(f"{name}={shown(value)}: {reason(error)}") from error
        for each in found:
            tell_probabilities(network, each, name)


def tell_probabilities(network: keras.Model, loss: Any, name: str) -> None:
    """Warns if a loss expects probabilities, and the network returns logits.

    Args:
        network: Sequential or functional model.
        loss: a loss or metric, or a function of labels and outputs.
        name: name of the argument.
    """
    if _takes_probabilities(loss) and all(map(is_linear, tf.nest.flatten(network.output))):
        words = getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
        warnings.warn(
            f"model {network.name}: {name} {words} expects probabilities, but the model returns "
            "logits; give it from_logits=True",
            RunWarning,
            stacklevel=3,
        )


def _check_structure(name: str, value: Any, network: keras.Model) -> None:
    """Lets tf_keras map a structure of losses or metrics to a model's outputs."""
    outputs, names = network.output, network.output_names
    empty = tf.nest.map_structure(lambda _: None, value)
    if name != "loss":
        compile_utils.MetricsContainer(empty, output_names=names).build(outputs, outputs)
        return
    container = compile_utils.LossesContainer(empty, output_names=names)
    container.build(outputs)
    if len(container._losses) != len(names):
        raise InputError(f"must be one, or one for each of {len(names)} outputs")


def _found(name: str, given: Any) -> Any:
    """The tf_keras loss or metric of a name or function; None for none."""
    if given is None:
        return None
    if name != "loss" and str(given).lower() in _BY_SHAPE:
        accuracy = str(given).lower().startswith("acc")
        return None if accuracy else keras.losses.sparse_categorical_crossentropy
    found = keras.losses.get(given) if name == "loss" else keras.metrics.get(given)
    if not is_measure(found):
        raise InputError("must be losses or metrics of tf_keras, by name, or functions")
    return found


def is_measure(value: Any) -> bool:
    """Whether a value may be a loss or metric: tf_keras' own, or a function of two arguments."""
    if isinstance(value, keras.losses.Loss | keras.metrics.Metric):
        return True
    return takes(value, 2)


def with_counts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of tf_keras' methods that take data, by name; integers as Python integers.

    Raises:
        InputError: for those that are none, or too small, and for what are no callbacks.
    """
    found = dict(given)
    callbacks = given.get("callbacks")
    for each in [] if callbacks is None else tf.nest.flatten(callbacks):
        if isinstance(each, type) or not hasattr(each, "on_train_begin"):  # Keras 3's work, too
            raise InputError(f"callbacks={shown(each)}: must be a list of callbacks")
    for name, least in _COUNTS.items():
        value = given.get(name)
        if value is None:
            continue
        if name == "validation_freq" and isinstance(value, list) and value:  # epochs
            found[name] = [checked(name, each, int, minimum=least) for each in value]
            continue
        whole = isinstance(value, float) and value.is_integer()  # np.ceil returns such floats
        found[name] = checked(name, int(value) if whole else value, int, minimum=least)
    if given.get("validation_split") is not None:
        rate = checked("validation_split", given["validation_split"], float, minimum=0)
        found["validation_split"] = checked("validation_split", rate, float, maximum=0.99)
    return found


def check_fitted(model: keras.Model, given: Mapping[str, Any]) -> None:
    """Checks values that tf_keras would accept, and that would spoil the training.

    Args:
        model: compiled, Sequential or functional.
        given: arguments of `fit` and the like, by name; values of data sets are checked batch by
            batch.

    Raises:
        InputError: for missing labels, weights that are not one an output, class numbers that are
            not whole, validation data that are not finite numbers, and empty arguments.
    """
    for name in ("validation_data", "class_weight", "sample_weight"):
        value = given.get(name)
        if isinstance(value, str | bytes | float | int | tuple | list | Mapping) and not value:
            raise InputError(f"{name}={value!r}: is empty; must be left out or given")
    validation = given.get("validation_data")
    if isinstance(validation, tuple | list) and len(validation) <= len(_NAMES):
        parts = dict(zip(_NAMES, validation, strict=False))
        check_arrays(parts)
        check_fitted(model, parts)
    loss = getattr(model, "loss", None)
    labels: Any = given.get("y")
    inputs = tf.nest.flatten(given.get("x"))
    if loss and not tf.nest.flatten(labels if labels is not None else []) and _are_arrays(inputs):
        raise InputError(f"y={labels}: must be labels, as the model has a loss")
    broken = isinstance(labels, np.ndarray) and labels.dtype.kind == "f" and np.mod(labels, 1).any()
    if broken and _takes_classes(loss):
        raise InputError(f"labels of type {labels.dtype}: must be whole numbers for this loss")
    weights = given.get("class_weight")
    numbers = isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu"
    missing = set(labels.tolist()).difference(weights) if weights and numbers else set()
    if missing:
        raise InputError(f"class_weight={shown(weights)}: must have class {min(missing)}, too")
    weights, shape = given.get("sample_weight"), model.output_shape
    if weights is None or not isinstance(shape, tuple):
        return
    weights = as_array("sample_weight", weights)
    if weights.ndim not in range(1, max(2, len(shape))) and weights.shape[1:] != (1,):
        raise InputError(
            f"sample_weight of shape {weights.shape}: must be one number for each of the outputs "
            f"{shape}"
        )


def check_arrays(given: Mapping[str, Any]) -> None:
    """Checks inputs, labels and weights that are not data sets.

    Raises:
        InputError: for missing inputs, single values, and arrays that are not finite numbers.
    """
    for name, word in _NAMES.items():
        value = given.get(name)
        is_single = isinstance(value, str | bytes | float | int)
        if is_single or (name == "x" and not (tf.nest.flatten(value) and value is not None)):
            raise InputError(f"{name}={shown(value)}: must be arrays or a data set")
        for each in tf.nest.flatten(value):
            if isinstance(each, np.ndarray) and each.dtype.kind == "f" and each.size:
                check_images(each, None, word)


def check_batch(given: Mapping[str, Any]) -> None:
    """Raises InputError for a batch's inputs, labels and weights that are not arrays [n, ...]."""
    for name in _NAMES:
        for each in tf.nest.flatten(given.get(name)):
            if each is not None and len(getattr(each, "shape", ())) == 0:
                raise InputError(f"{name}={shown(given[name])}: must be arrays [n, ...]")


def _are_arrays(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(each, np.ndarray | tf.Tensor) for each in values)


def _takes_probabilities(loss: Any) -> bool:
    function = getattr(loss, "_fn", getattr(loss, "fn", loss))
    try:
        option = inspect.signature(function).parameters.get("from_logits")
    except (ValueError, TypeError):
        return False
    given: dict[str, Any] = getattr(loss, "_fn_kwargs", {})
    return option is not None and not given.get("from_logits", option.default)


def _takes_classes(loss: Any) -> bool:
    """Whether a loss, as given to `compile`, truncates labels to integers."""
    sparse = keras.losses.sparse_categorical_crossentropy
    return getattr(loss, "fn", loss) in (sparse, sparse.__name__)
