"""The LeNet family."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.models.parts import (
    PerChannel,
    hidden_layers,
    logits,
    normalized_input,
    scaled,
)

with epy.lazy_imports():
    import tf_keras as keras


def lenet_300_100(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    use_bias: bool = False,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Two hidden layers of 300 and 100 ReLU units, no biases, logits out.

    "Gradient-based learning applied to document recognition" (LeCun et al., 1998), in the form
    used by "The Search for Sparse, Robust Neural Networks" (2019): 266,200 weights on 28x28 images.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        use_bias: whether all layers have biases.
        width: multiplies the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std),
            *hidden_layers((300, 100), width, use_bias=use_bias),
            logits(num_classes, use_bias=use_bias),
        ],
        name="lenet_300_100",
    )


def lenet5(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Caffe's LeNet-5: two convolutions of 20 and 50 channels, 500 hidden units, logits out.

    "Gradient-based learning applied to document recognition" (LeCun et al., 1998), in the form of
    Caffe's `lenet_train_test.prototxt` (Jia et al., 2014), which the pruning papers use: 431,080
    weights on 28x28 images, biases included. As in that file, the 5x5 convolutions are not padded
    and have no activation, only 2x2 max pooling; the one ReLU follows the 500 units.

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
            keras.layers.Conv2D(scaled(20, width), 5, name="conv_1"),
            keras.layers.MaxPooling2D(2, name="pool_1"),
            keras.layers.Conv2D(scaled(50, width), 5, name="conv_2"),
            keras.layers.MaxPooling2D(2, name="pool_2"),
            *hidden_layers((500,), width, use_bias=True),
            logits(num_classes),
        ],
        name="lenet5",
    )
