"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.parts import (
    PerChannel,
    are_counts,
    hidden_layers,
    logits,
    normalized_input,
)
from robust_sparse_tf.options import shown

with epy.lazy_imports():
    import tf_keras as keras


def mlp(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden: Sequence[int] = (300, 100),
    use_bias: bool = True,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Dense ReLU layers of the given sizes; returns logits.

    "Learning representations by back-propagating errors" (Rumelhart, Hinton and Williams, 1986)
    with rectified units. The default is LeNet-300-100 with biases, as in "Learning both Weights
    and Connections for Efficient Neural Networks" (Han, Pool, Tran and Dally, 2015): 266,610
    weights on 28x28 images.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        hidden: units of each hidden layer.
        use_bias: whether all layers have biases.
        width: multiplies the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    if not are_counts(hidden):
        raise InputError(f"hidden={shown(hidden)}: must be one or more whole numbers above 0")
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std),
            *hidden_layers(hidden, width, use_bias=use_bias),
            logits(num_classes, use_bias=use_bias),
        ],
        name="mlp",
    )


def mlp_300_100_100(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    use_bias: bool = True,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Three hidden layers of 300, 100 and 100 ReLU units, logits out.

    The fully connected network of the lottery tickets in "Towards lighter adversarially robust
    model", part 3; that it has biases is our choice: 276,710 weights on 28x28 images.

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
            *hidden_layers((300, 100, 100), width, use_bias=use_bias),
            logits(num_classes, use_bias=use_bias),
        ],
        name="mlp_300_100_100",
    )
