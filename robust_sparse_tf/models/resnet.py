"""The ResNet family: thin networks for CIFAR, and ImageNet's, adapted to small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from etils import epy

from robust_sparse_tf.models.parts import (
    PerChannel,
    batch_norm,
    logits,
    normalized_input,
    scaled,
)

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.models import layers

Block: TypeAlias = "Callable[[tf.Tensor, int, int, str], tf.Tensor]"
"""A block: (tensor, channels of the stage, stride, prefix of names) -> tensor."""

_THIN = (16, 32, 64)
_WIDE = (64, 128, 256, 512)


def resnet20(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Model:
    """CIFAR's ResNet-20: three stages of three blocks of 16, 32 and 64 channels, logits out.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), section 4.2,
    with parameter-free shortcuts (option A): 269,722 trainable weights with 10 classes and colour.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    inputs = normalized_input(input_shape, mean, std)
    return _resnet("resnet20", inputs, num_classes, width, _THIN, (3, 3, 3), _thin_block)


def resnet32(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Model:
    """CIFAR's ResNet-32: three stages of five blocks of 16, 32 and 64 channels, logits out.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), section 4.2,
    with parameter-free shortcuts (option A): 464,154 trainable weights with 10 classes and colour.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    inputs = normalized_input(input_shape, mean, std)
    return _resnet("resnet32", inputs, num_classes, width, _THIN, (5, 5, 5), _thin_block)


def resnet18(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Model:
    """ResNet-18 for small images: four stages of two blocks of 64 to 512 channels, logits out.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), table 1, with
    projection shortcuts, and for small images a first 3x3 convolution of stride 1 without a
    pooling: 11,173,962 trainable weights with 10 classes and colour.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    inputs = normalized_input(input_shape, mean, std)
    return _resnet("resnet18", inputs, num_classes, width, _WIDE, (2, 2, 2, 2), _basic_block)


def resnet34(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Model:
    """ResNet-34 for small images: 3, 4, 6 and 3 blocks of 64 to 512 channels, logits out.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), table 1, with
    the shortcuts and the first layer of `resnet18`: 21,282,122 trainable weights with 10 classes
    and colour, 21,328,292 with 100.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    inputs = normalized_input(input_shape, mean, std)
    return _resnet("resnet34", inputs, num_classes, width, _WIDE, (3, 4, 6, 3), _basic_block)


def resnet50(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Model:
    """ResNet-50 for small images: 3, 4, 6 and 3 bottlenecks of 256 to 2048 channels, logits out.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), table 1, with the
    shortcuts and the first layer of `resnet18`. The stride is in the 3x3 convolution, as is usual
    today, and not in the 1x1 before it, as in the paper: 23,520,842 trainable weights with 10
    classes and colour either way.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        width: multiplies the channels.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    inputs = normalized_input(input_shape, mean, std)
    return _resnet("resnet50", inputs, num_classes, width, _WIDE, (3, 4, 6, 3), _bottleneck)


def _resnet(
    name: str,
    first_layers: list[keras.layers.Layer],
    num_classes: int,
    width: float,
    filters: Sequence[int],
    depths: Sequence[int],
    block: Block,
) -> keras.Model:
    inputs, *normalize = first_layers
    x = inputs
    for layer in normalize:
        x = layer(x)
    x = _convolution(x, scaled(filters[0], width), 3, 1, "stem_", "")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, (channels, depth) in enumerate(zip(filters, depths, strict=True), 1):
        for number in range(1, depth + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            prefix = f"stage_{stage}_block_{number}_"
            x = block(x, scaled(channels, width), strides, prefix)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, logits(num_classes)(x), name=name)


def _thin_block(x: tf.Tensor, filters: int, strides: int, prefix: str) -> tf.Tensor:
    shortcut = x
    if strides > 1:
        shortcut = layers.ParameterFreeShortcut(filters, strides, name=prefix + "shortcut")(x)
    return _sum(_two_convolutions(x, filters, strides, prefix), shortcut, prefix)


def _basic_block(x: tf.Tensor, filters: int, strides: int, prefix: str) -> tf.Tensor:
    shortcut = _projection(x, filters, strides, prefix)
    return _sum(_two_convolutions(x, filters, strides, prefix), shortcut, prefix)


def _bottleneck(x: tf.Tensor, filters: int, strides: int, prefix: str) -> tf.Tensor:
    y = _convolution(x, filters, 1, 1, prefix, "_1")
    y = keras.layers.ReLU(name=prefix + "relu_1")(y)
    y = _convolution(y, filters, 3, strides, prefix, "_2")
    y = keras.layers.ReLU(name=prefix + "relu_2")(y)
    y = _convolution(y, 4 * filters, 1, 1, prefix, "_3")
    return _sum(y, _projection(x, 4 * filters, strides, prefix), prefix)


def _two_convolutions(x: tf.Tensor, filters: int, strides: int, prefix: str) -> tf.Tensor:
    y = _convolution(x, filters, 3, strides, prefix, "_1")
    y = keras.layers.ReLU(name=prefix + "relu_1")(y)
    return _convolution(y, filters, 3, 1, prefix, "_2")


def _projection(x: tf.Tensor, filters: int, strides: int, prefix: str) -> tf.Tensor:
    """The shortcut of option B: a 1x1 convolution only where the shape changes."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    return _convolution(x, filters, 1, strides, prefix + "shortcut_", "")


def _sum(x: tf.Tensor, shortcut: tf.Tensor, prefix: str) -> tf.Tensor:
    x = keras.layers.Add(name=prefix + "add")([x, shortcut])
    return keras.layers.ReLU(name=prefix + "relu")(x)


def _convolution(
    x: tf.Tensor, filters: int, size: int, strides: int, prefix: str, suffix: str
) -> tf.Tensor:
    """A convolution without biases, followed by batch normalization."""
    padding = "same"
    if size > 1 and strides > 1:
        # TensorFlow's padding would shift the windows by one pixel against the shortcut.
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{prefix}pad{suffix}")(x)
        padding = "valid"
    x = keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{prefix}conv{suffix}",
    )(x)
    return batch_norm(f"{prefix}norm{suffix}")(x)
