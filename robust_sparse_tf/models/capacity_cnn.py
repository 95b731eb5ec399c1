"""Convolutional networks of scalable capacity, and a binary one with few features."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.models.parts import (
    PerChannel,
    binary_logits,
    hidden_layers,
    logits,
    normalized_input,
    scaled,
)

with epy.lazy_imports():
    import tf_keras as keras


def capacity_cnn(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Two convolutions of 2 and 4 channels and 100 hidden units, times `width`; returns logits.

    The network of "Towards lighter adversarially robust model", part 1. Its scale s is
    `width=2**s`: scales 0 to 5 have 2 to 64 and 4 to 128 channels, and 100 to 3,200 units. The
    paper does not give kernels, paddings and poolings, and no usual choice gives its 5,590
    parameters at scale 0. Ours has 5x5 convolutions without padding, each with ReLU and 2x2 max
    pooling, which comes nearest: 7,766 parameters on 28x28 images, biases included (with padding,
    as in Madry et al., 20,966).

    Args:
        input_shape: height, width and channels of one image, at least 16x16.
        num_classes: number of logits.
        width: multiplies the channels and the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std, smallest=16),
            *_convolution(1, scaled(2, width)),
            *_convolution(2, scaled(4, width)),
            *hidden_layers((100,), width, use_bias=True),
            logits(num_classes),
        ],
        name="capacity_cnn",
    )


def binary_cnn(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 2,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Convolutions of 16 and 32 channels, 100 features, one output z; returns the logits 0 and z.

    The binary network of "Towards lighter adversarially robust model", part 2, whose 100 features
    before the last layer are ReLU units. The paper does not describe its convolutions; ours are
    those of `capacity_cnn` at scale 3, the smallest that the paper finds to be robust: 64,649
    parameters on 28x28 images.

    Args:
        input_shape: height, width and channels of one image, at least 16x16.
        num_classes: 2.
        width: multiplies the channels and the features.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std, smallest=16),
            *_convolution(1, scaled(16, width)),
            *_convolution(2, scaled(32, width)),
            *hidden_layers((100,), width, use_bias=True),
            *binary_logits(num_classes),
        ],
        name="binary_cnn",
    )


def _convolution(number: int, filters: int) -> list[keras.layers.Layer]:
    return [
        keras.layers.Conv2D(filters, 5, activation="relu", name=f"conv_{number}"),
        keras.layers.MaxPooling2D(2, name=f"pool_{number}"),
    ]
