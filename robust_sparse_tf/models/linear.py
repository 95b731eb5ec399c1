"""The linear classifiers."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from robust_sparse_tf.models.parts import PerChannel, binary_logits, logits, normalized_input

with epy.lazy_imports():
    import tf_keras as keras


def linear(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """One dense layer with biases: multinomial logistic regression, logits out.

    The linear model of "Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and
    Chen, 2018), which contrasts it with deep networks: 7,850 weights on 28x28 images.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: number of logits.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std),
            keras.layers.Flatten(name="flatten"),
            logits(num_classes),
        ],
        name="linear",
    )


def binary_linear(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 2,
    *,
    mean: PerChannel = None,
    std: PerChannel = None,
) -> keras.Sequential:
    """One weight a pixel and a bias: binary logistic regression, logits 0 and w.x + b out.

    The binary linear model of "Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang
    and Chen, 2018), whose softplus loss is the cross-entropy of these logits: 785 weights on 28x28
    images.

    Args:
        input_shape: height, width and channels of one image.
        num_classes: 2.
        mean: subtracted from the images, for all channels or for each; None: nothing.
        std: divides the images, for all channels or for each; None: nothing.

    Raises:
        InputError: naming the argument that is not allowed.
    """
    return keras.Sequential(
        [
            *normalized_input(input_shape, mean, std),
            keras.layers.Flatten(name="flatten"),
            *binary_logits(num_classes),
        ],
        name="binary_linear",
    )
