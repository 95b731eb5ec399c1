"""The LeNet family."""

import tf_keras as keras


def lenet_300_100(
    input_shape: tuple[int, ...] = (28, 28, 1), num_classes: int = 10
) -> keras.Sequential:
    """Two hidden layers of 300 and 100 ReLU units, no biases, logits out.

    "Gradient-based learning applied to document recognition" (LeCun et al., 1998), in the form
    used by "The Search for Sparse, Robust Neural Networks" (2019): 266,200 weights on 28x28 images.

    Args:
        input_shape: shape of one image.
        num_classes: number of logits.
    """
    return keras.Sequential(
        [
            keras.layers.Input(input_shape),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(300, activation="relu", use_bias=False, name="hidden_1"),
            keras.layers.Dense(100, activation="relu", use_bias=False, name="hidden_2"),
            keras.layers.Dense(num_classes, use_bias=False, name="logits"),
        ],
        name="lenet_300_100",
    )
