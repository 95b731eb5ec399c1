"""Layers that tf_keras lacks."""

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("robust_sparse_tf")
class BinaryLogits(keras.layers.Layer):
    """Converts one output z to the logits 0 and z."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [batch, 1] to [batch, 2]."""
        return tf.concat([tf.zeros_like(inputs), inputs], axis=-1)


@keras.saving.register_keras_serializable("robust_sparse_tf")
class ParameterFreeShortcut(keras.layers.Layer):
    """Option A of "Deep Residual Learning": every stride-th pixel, padded with channels of zeros.

    Args:
        filters: channels of the output, at least those of the input; the new ones are last.
        strides: distance between the pixels that are kept.
    """

    def __init__(self, filters: int, strides: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [batch, height, width, channels]; height and width are divided and rounded up."""
        pixels = inputs[:, :: self.strides, :: self.strides]
        return tf.pad(pixels, [[0, 0], [0, 0], [0, 0], [0, self.filters - inputs.shape[-1]]])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}
