"""The network of the MNIST challenge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etils import epy

from robust_sparse_tf.models.parts import PerChannel, logits, normalized_input, scaled

with epy.lazy_imports():
    import tf_keras as keras


def madry_mnist_cnn(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """Two 5x5 convolutions of 32 and 64 channels, 1024 hidden units, logits out.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry, Makelov, Schmidt,
    Tsipras and Vladu, 2018): 3,274,634 weights on 28x28 images, biases included. Convolutions and
    2x2 max poolings are padded, and each hidden layer has a ReLU. Weights begin as in the paper's
    MNIST challenge: truncated normal with deviation 0.1, biases of 0.1.

    Args:
        input_shape: height, width and channels of one image, at least 3x3.
        num_classes: number of logits.
        width: multiplies the channels and the hidden units.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std, smallest=3),
            *_convolution(1, scaled(32, width)),
            *_convolution(2, scaled(64, width)),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(
                scaled(1024, width), activation="relu", name="hidden_1", **_initial_weights()
            ),
            logits(num_classes, **_initial_weights()),
        ],
        name="madry_mnist_cnn",
    )


def _convolution(number: int, filters: int) -> list[keras.layers.Layer]:
    return [
        keras.layers.Conv2D(
            filters,
            5,
            padding="same",
            activation="relu",
            name=f"conv_{number}",
            **_initial_weights(),
        ),
        keras.layers.MaxPooling2D(2, padding="same", name=f"pool_{number}"),
    ]


def _initial_weights() -> dict[str, Any]:
    # New objects each time: an initializer that two layers share gives both the same numbers.
    return dict(
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.1),
        bias_initializer=keras.initializers.Constant(0.1),
    )
