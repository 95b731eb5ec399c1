"""The VGG family for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.models.parts import (
    PerChannel,
    batch_norm,
    logits,
    normalized_input,
    scaled,
)

with epy.lazy_imports():
    import tf_keras as keras

_FILTERS = (64, 128, 256, 512, 512)

# Five poolings that round up: each still has something to halve.
_SMALLEST = 17


def vgg16(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Thirteen 3x3 convolutions with batch normalization and one dense layer, logits out.

    "Very Deep Convolutional Networks for Large-Scale Image Recognition" (Simonyan and Zisserman,
    2015), configuration D, in the usual form for CIFAR: batch normalization after each convolution
    (which so needs no biases), and a single dense layer in place of the three: 14,724,042 weights
    on 32x32x3 images with 10 classes. He-normal convolutions; no dropout.

    Args:
        input_shape: height, width and channels of one image, at least 17x17.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std, smallest=_SMALLEST),
            *_convolutions((2, 2, 3, 3, 3), width),
            keras.layers.Flatten(name="flatten"),
            logits(num_classes),
        ],
        name="vgg16",
    )


def vgg_like(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Twelve 3x3 convolutions with batch normalization and two dense layers, logits out.

    The VGG-like network of "Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang
    and Chen, 2018), from "Structured Bayesian Pruning via Log-Normal Multiplicative Noise"
    (Neklyudov, Molchanov, Ashukha and Vetrov, 2017) and Zagoruyko's CIFAR network (2015). The
    latter two have 13 convolutions (2, 2, 3, 3 and 3 of 64, 128, 256, 512 and 512 channels) and
    dense layers of 512 and 10; where Guo et al. have 12, ours leaves the last one out. A hidden
    dense layer with batch normalization; no biases before a normalization, and no dropout, since
    sparsity regularises: 12,626,890 weights on 32x32x3 images with 10 classes. He-normal weights.

    Args:
        input_shape: height, width and channels of one image, at least 17x17.
        num_classes: number of logits.
        width: multiplies the channels and the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std, smallest=_SMALLEST),
            *_convolutions((2, 2, 3, 3, 2), width),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(
                scaled(512, width), use_bias=False, kernel_initializer="he_normal", name="hidden_1"
            ),
            batch_norm("hidden_1_norm"),
            keras.layers.ReLU(name="hidden_1_relu"),
            logits(num_classes),
        ],
        name="vgg_like",
    )


def _convolutions(depths: Sequence[int], width: float) -> list[keras.layers.Layer]:
    """Stages of convolutions, each followed by a pooling."""
    layers = []
    for stage, (depth, filters) in enumerate(zip(depths, _FILTERS, strict=True), 1):
        for number in range(1, depth + 1):
            layers += _convolution(f"stage_{stage}", number, scaled(filters, width))
        # Rounds up, as in Zagoruyko's network, so that 28x28 images are large enough.
        layers.append(keras.layers.MaxPooling2D(2, padding="same", name=f"stage_{stage}_pool"))
    return layers


def _convolution(stage: str, number: int, filters: int) -> list[keras.layers.Layer]:
    return [
        keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{stage}_conv_{number}",
        ),
        batch_norm(f"{stage}_norm_{number}"),
        keras.layers.ReLU(name=f"{stage}_relu_{number}"),
    ]
