"""Makes the network of a run: by name, from a user's function, or from a file."""

from __future__ import annotations

import functools
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, cast

from etils import epy

from experiments.runs.options import RunOptions
from robust_sparse_tf import export, models
from robust_sparse_tf.errors import InputError, reason

if TYPE_CHECKING:
    import tf_keras

with epy.lazy_imports():
    from robust_sparse_tf.models import heads
    from robust_sparse_tf.models import network as network_rules

Build = Callable[[Sequence[int], int], "tf_keras.Model"]
"""A function (shape of an image, number of classes) -> network."""


def builder(options: RunOptions, dataset: str = "") -> Build:
    """Returns the function that makes the network of a run.

    Args:
        options: options of the run.
        dataset: name of the data set, whose means and deviations may be wanted.

    Raises:
        InputError: if the function does not exist, the network does not support the width or
            normalisation, or the data set has no stored means.
    """
    name = options.model
    if name in models.BY_NAME:
        build = models.BY_NAME[name]
    elif ":" in name:
        build = functools.partial(_called, name, _function(name))
    else:
        build = functools.partial(_loaded, name)
    arguments: dict[str, object] = {}
    if options.width != 1:
        if name not in models.BY_NAME or "width" not in inspect.signature(build).parameters:
            raise InputError(f"width={options.width}: must be 1 with model={name}")
        arguments["width"] = options.width
    if options.normalize == "dataset":
        if name not in models.BY_NAME:
            raise InputError(f"normalize=dataset: must be none with model={name}")
        if dataset not in models.NORMALIZATIONS:
            raise InputError(
                f"normalize=dataset: must be none with dataset={dataset}; means are stored of "
                + ", ".join(models.NORMALIZATIONS)
            )
        arguments["mean"], arguments["std"] = models.NORMALIZATIONS[dataset]
    return functools.partial(build, **arguments) if arguments else build


def module_file(name: str) -> str:
    """Finds the file of the module of "MODULE:FUNCTION".

    Raises:
        InputError: if there is none.
    """
    return _module(name).origin or ""


def _module(name: str) -> ModuleSpec:
    module = name.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"model={name}: there is no module {module} ({error})") from error
    if found is None:
        raise InputError(f"model={name}: there is no module {module} on Python's path")
    return found


def _function(name: str) -> Callable[..., object]:
    """Imports the function of "MODULE:FUNCTION"; the working directory is on Python's path."""
    _module(name)
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # any exception of the user's module
        raise InputError(
            f"model={name}: {module} cannot be imported ({type(error).__name__}: {reason(error)})"
        ) from error
    if not callable(found):
        raise InputError(f"model={name}: {module} has no function {attribute}")
    try:
        inspect.signature(found).bind(None, None)
    except TypeError as error:
        raise InputError(
            f"model={name}: must take the shape of an image and the number of classes"
        ) from error
    return found


def _called(
    name: str, function: Callable[..., object], input_shape: Sequence[int], num_classes: int
) -> tf_keras.Model:
    try:
        model = function(tuple(input_shape), num_classes)
    except Exception as error:  # any exception of the user's function
        raise InputError(
            f"model={name}: fails for images of {tuple(input_shape)} and {num_classes} classes "
            f"({type(error).__name__}: {reason(error)})"
        ) from error
    return _fitting(name, model, input_shape, num_classes)


def _loaded(path: str, input_shape: Sequence[int], num_classes: int) -> tf_keras.Model:
    return _fitting(path, export.load_model(path), input_shape, num_classes)


def _fitting(
    name: str, model: object, input_shape: Sequence[int], num_classes: int
) -> tf_keras.Model:
    """Checks that a network fits the data.

    Raises:
        InputError: for other shapes, or networks that `sparsify` or `AdversarialModel` refuse.
    """
    network_rules.require_tf_keras(model)
    network = cast("tf_keras.Model", model)
    heads.require_logits(network)
    sizes = (network.input_shape[1:], network.output_shape[1:])
    for words, own, wanted in zip(
        ("images", "outputs"), sizes, (tuple(input_shape), (num_classes,)), strict=True
    ):
        alike = len(own) == len(wanted) and all(
            a in (None, b) for a, b in zip(own, wanted, strict=True)
        )
        if not alike:
            raise InputError(f"model={name}: {words} are {own}; must be {wanted}")
    return network
