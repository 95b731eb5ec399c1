"""Convolutional networks for certified training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.models.parts import PerChannel, batch_norm, logits, normalized_input, scaled

with epy.lazy_imports():
    import tf_keras as keras


def strided_cnn(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """4x4 convolutions of 16 and 32 channels with stride 2, 100 hidden units; returns logits.

    The network of "Provable Defenses against Adversarial Examples via the Convex Outer Adversarial
    Polytope" (Wong and Kolter, 2018, section 4, https://arxiv.org/abs/1711.00851), without pooling,
    which loosens interval bounds. For training on these, initial weights are narrow, normal with
    deviation sqrt(2 pi) / inputs, and each ReLU follows batch normalization: "Fast Certified Robust
    Training with Short Warmup" (Shi et al., 2021, section 3, https://arxiv.org/abs/2103.17268).
    166,850 parameters on 28x28 images.

    Args:
        input_shape: height, width and channels of one image, at least 4x4.
        num_classes: number of logits.
        width: multiplies the channels and the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    input_layers = normalized_input(input_shape, mean, std, smallest=4)
    height, across, channels = input_shape
    first, second, units = scaled(16, width), scaled(32, width), scaled(100, width)
    features = -(-height // 4) * -(-across // 4) * second
    return keras.Sequential(
        [
            *input_layers,
            *_convolution(1, channels, first),
            *_convolution(2, first, second),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(
                units, use_bias=False, kernel_initializer=_narrow(features), name="hidden_1"
            ),
            batch_norm("norm_3"),
            keras.layers.ReLU(name="relu_3"),
            logits(num_classes, kernel_initializer=_narrow(units)),
        ],
        name="strided_cnn",
    )


def _convolution(number: int, channels: int, filters: int) -> list[keras.layers.Layer]:
    return [
        keras.layers.Conv2D(
            filters,
            4,
            2,
            padding="same",
            use_bias=False,
            kernel_initializer=_narrow(16 * channels),
            name=f"conv_{number}",
        ),
        batch_norm(f"norm_{number}"),
        keras.layers.ReLU(name=f"relu_{number}"),
    ]


def _narrow(inputs: int) -> keras.initializers.Initializer:
    """Weights that keep the width of interval bounds from layer to layer, given a unit's inputs."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 * math.pi) / inputs)
