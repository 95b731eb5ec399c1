"""Shared parts of the architectures: first and last layers, and widths."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import LARGEST_INT, checked, shown

with epy.lazy_imports():
    import tf_keras as keras

    from robust_sparse_tf.models import layers

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
"""Means of red, green and blue in CIFAR-10's training images, in [0, 1]."""

CIFAR10_STD = (0.2470, 0.2435, 0.2616)
"""Standard deviations of red, green and blue in CIFAR-10's training images."""

CIFAR100_MEAN = (0.5071, 0.4865, 0.4409)
"""Means of red, green and blue in CIFAR-100's training images, in [0, 1]."""

CIFAR100_STD = (0.2673, 0.2564, 0.2762)
"""Standard deviations of red, green and blue in CIFAR-100's training images."""

NORMALIZATIONS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
    "cifar100": (CIFAR100_MEAN, CIFAR100_STD),
}
"""Means and standard deviations of the channels of data sets, for `mean` and `std` of networks."""

PerChannel = float | Sequence[float] | None
"""A number for all channels, one per channel, or None for no normalisation."""


def normalized_input(
    input_shape: Sequence[int], mean: PerChannel, std: PerChannel, *, smallest: int = 1
) -> list[Any]:
    """The input of a network and, if a mean or deviation is given, the layer "normalize".

    The layer computes (x - mean) / std, so that attacks act on images in [0, 1].

    Args:
        input_shape: height, width and channels of one image.
        mean: subtracted from the images, one number or one per channel; 0 if only `std` is given.
        std: divides the images, one number or one per channel; 1 if only `mean` is given.
        smallest: minimum height and width for the network.

    Raises:
        InputError: for an invalid shape, mean or deviation.
    """
    _check_shape(input_shape, smallest)
    first = [keras.layers.Input(input_shape)]
    if mean is None and std is None:
        return first
    channels = input_shape[2]
    means = _per_channel("mean", 0.0 if mean is None else mean, channels)
    stds = _per_channel("std", 1.0 if std is None else std, channels)
    if min(stds) <= 0:
        raise InputError(f"std={shown(std)}: must be above 0")
    scale = [1 / deviation for deviation in stds]
    offset = [-value / deviation for value, deviation in zip(means, stds, strict=True)]
    return [*first, keras.layers.Rescaling(scale, offset, name="normalize")]


def scaled(units: int, width: float) -> int:
    """A number of channels or units times the width multiplier, rounded, at least 1.

    Raises:
        InputError: for a width that is not above 0, or makes too many units.
    """
    found = max(1, round(units * checked("width", width, float, above=0)))
    if found > LARGEST_INT:
        raise InputError(f"width={width}: must make at most {LARGEST_INT} units a layer")
    return found


def logits(num_classes: int, **options: Any) -> keras.layers.Dense:
    """The last layer of a classifier, without an activation.

    Args:
        num_classes: number of logits.
        **options: the rest of the dense layer's arguments.

    Raises:
        InputError: for fewer than two classes.
    """
    num_classes = checked("num_classes", num_classes, int, minimum=2)
    return keras.layers.Dense(num_classes, name="logits", **options)


def binary_logits(num_classes: int, **options: Any) -> list[keras.layers.Layer]:
    """The last layers of a binary classifier with one output z; returns the logits 0 and z.

    Their cross-entropy is softplus(-z) for class 1 and softplus(z) for class 0. They work wherever
    logits are expected.

    Args:
        num_classes: 2.
        **options: the rest of the dense layer's arguments.

    Raises:
        InputError: for any other number of classes.
    """
    if checked("num_classes", num_classes, int) != 2:
        raise InputError(f"num_classes={num_classes}: must be 2 for a network of one output")
    return [keras.layers.Dense(1, name="output", **options), layers.BinaryLogits(name="logits")]


def hidden_layers(sizes: Sequence[int], width: float, *, use_bias: bool) -> list[Any]:
    """Dense layers "hidden_1", "hidden_2" and so on with ReLU, on flattened images."""
    use_bias = checked("use_bias", use_bias, bool)
    dense = [
        keras.layers.Dense(
            scaled(size, width), activation="relu", use_bias=use_bias, name=f"hidden_{number}"
        )
        for number, size in enumerate(sizes, 1)
    ]
    return [keras.layers.Flatten(name="flatten"), *dense]


def batch_norm(name: str) -> keras.layers.BatchNormalization:
    """Batch normalization with Torch's constants, as in the usual implementations."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def are_counts(sizes: Any) -> bool:
    """Whether sizes are a nonempty list of whole numbers above 0."""
    whole = _is_list(sizes) and all(
        isinstance(n, numbers.Integral) and not isinstance(n, bool) and int(n) > 0 for n in sizes
    )
    return whole and len(sizes) > 0


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _check_shape(input_shape: Sequence[int], smallest: int) -> None:
    sizes = tuple(input_shape) if _is_list(input_shape) else ()
    if len(sizes) != 3 or not are_counts(sizes):
        raise InputError(
            f"input_shape={shown(input_shape)}: must be three whole numbers above 0: height, "
            "width, channels"
        )
    if min(sizes[:2]) < smallest:
        raise InputError(
            f"input_shape={sizes}: height and width must be at least {smallest} for this network"
        )


def _per_channel(name: str, value: float | Sequence[float], channels: int) -> list[float]:
    values: list[Any] = list(value) if _is_list(value) else [value] * channels
    finite = all(
        isinstance(item, numbers.Real) and not isinstance(item, bool) and math.isfinite(item)
        for item in values
    )
    if len(values) != channels or not finite:
        raise InputError(
            f"{name}={shown(value)}: must be a finite number or one for each of {channels} channels"
        )
    return [float(item) for item in values]
