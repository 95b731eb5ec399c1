"""Checks of values of inputs: in memory, and as assertions in graphs."""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError, reason, told

with epy.lazy_imports():
    import tensorflow as tf

_OF_TENSORFLOW = os.path.join("", "tensorflow", "python", "")
_OWN = os.path.join(os.path.dirname(__file__), "")
_OF_KERAS = os.path.join("", "tf_keras", "src", "")
# What Python raises for unsuitable values.
_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def check_images(
    images: np.ndarray, limits: tuple[float, float] | None, name: str = "images"
) -> None:
    """Checks the values of images [n, ...].

    Args:
        images: numbers.
        limits: minimum and maximum value allowed, up to rounding; None for any number.
        name: what to call them.

    Raises:
        InputError: for NaN, or values outside the limits.
    """
    if np.isnan(images).any():
        raise InputError(
            f"{name}: {np.isnan(images).any(axis=tuple(range(1, images.ndim))).sum()} "
            "of them hold NaN; must be numbers"
        )
    low, high = _with_slack(limits)
    if images.min() < low or images.max() > high:
        raise InputError(
            f"{name} of values {images.min():g} to {images.max():g}{_allowed_values(limits)}"
        )


def check_labels(labels: np.ndarray, classes: int, name: str = "labels") -> None:
    """Checks the values of labels [n].

    Raises:
        InputError: for labels outside 0 to classes - 1.
    """
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"{name} from {labels.min()} to {labels.max()}{_allowed_labels(classes)}")


def assert_images(images: tf.Tensor, limits: tuple[float, float] | None) -> Any:
    """Like `check_images`, in a graph; takes less time than a layer.

    The graph raises `InvalidArgumentError` with the same message; see `one_line`.
    """
    low, high = _with_slack(limits)
    least, most = tf.reduce_min(images), tf.reduce_max(images)  # NaN if there is any
    words = ["images of values", least, "to", most, _allowed_values(limits)]
    return assert_that((least >= low) & (most <= high), words)


def assert_labels(labels: tf.Tensor, classes: int) -> Any:
    """Like `check_labels`, in a graph; see `assert_images`."""
    least, most = tf.reduce_min(labels), tf.reduce_max(labels)
    words = ["labels from", least, "to", most, _allowed_labels(classes)]
    return assert_that((least >= 0) & (most < classes), words)


def assert_that(condition: tf.Tensor, words: list[Any]) -> Any:
    """Stops a graph with a message of texts and scalars if a condition does not hold.

    Returns:
        The operation in a graph; None if run eagerly.
    """
    data = [tf.convert_to_tensor(word) for word in words]
    return tf.raw_ops.Assert(condition=condition, data=data)


def after(asserted: list[Any]) -> Any:
    """A context whose operations run after the given results of `assert_that`."""
    return tf.control_dependencies([each for each in asserted if each is not None])


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Converts errors about the arguments of tf_keras' methods to `InputError`.

    These are failed assertions and errors of TensorFlow operations inside a graph, tf_keras' errors
    about arguments, and errors while a train step is traced. Other errors, such as those of
    callbacks, are not converted.
    """
    try:
        yield
    except InputError:
        raise
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        asserted = re.search(r"assertion failed: \[(.*)\]", told(error))
        if asserted:
            raise InputError(asserted[1].replace("] [", " ").replace(" :", ":")) from None
        # The message is between a traceback and the name of the operation.
        found = re.search(r"(.*)\n\s*\[\[", told(error))
        raise InputError((found[1] if found else reason(error))[:300]) from error
    except _MISTAKES as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame.filename for frame in frames if _OF_TENSORFLOW not in frame.filename]
        # tf_keras removes its own frames when it runs eagerly, so that ours is last.
        known = _OF_KERAS in own[-1] or own[-1].startswith(_OWN)
        if not known and not str(error).startswith("in user code:"):
            raise
        raise InputError(reason(error)) from error


def _with_slack(limits: tuple[float, float] | None) -> tuple[float, float]:
    """The limits, widened by rounding errors."""
    if limits is None:
        return tf.float32.min, tf.float32.max
    slack = 1e-6 * (limits[1] - limits[0])
    return limits[0] - slack, limits[1] + slack


def _allowed_values(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ": must be finite"
    low, high = limits
    return (
        f": must be in [{low:g}, {high:g}]; scale them (bytes: images / 255) or give attacks their "
        "range as low and high"
    )


def _allowed_labels(classes: int) -> str:
    return f": must be in 0 to {classes - 1}, as the model returns {classes} classes"
