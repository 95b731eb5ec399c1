"""Layers with trainable noise on their weights."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.options import checked
from robust_sparse_tf.sparsity.wrapper import leaves
from robust_sparse_tf.training.noise import KINDS
from robust_sparse_tf.training.optimizers import ALPHA

_START = 0.25


class WeightNoise(keras.layers.Layer):
    """Adds noise to the kernel of a layer in each forward pass: W + alpha eta.

    eta is drawn elementwise from N(0, s^2), where s is the standard deviation of the whole kernel
    (n - 1 in its denominator, zeros included) at that moment; no gradient flows through it. Weights
    that are 0 get no noise, so that pruned weights stay so. alpha is trained, and starts at 0.25.
    "Parametric Noise Injection" (He, Rakin and Fan, 2019), equations 1 to 3,
    https://arxiv.org/abs/1811.09310; one alpha per output channel as in "Robust Sparse
    Regularization" (Rakin et al., 2019), equation 4, https://arxiv.org/abs/1905.13074.

    The numbers come from a `tf.random.Generator`, whose state each forward pass advances.

    Args:
        *args: arguments of the layer.
        noise: one alpha per output "channel", per "layer" or per "element".
        noise_at_inference: whether there is noise outside training, too.
        noise_seed: seed of the generator.
        **kwargs: arguments of the layer.
    """

    kernel_name = "kernel"

    def __init__(
        self,
        *args: Any,
        noise: str = "channel",
        noise_at_inference: bool = True,
        noise_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.noise = checked("noise", noise, str, choices=KINDS)
        self.noise_at_inference = checked("noise_at_inference", noise_at_inference, bool)
        self.noise_seed = checked("noise_seed", noise_seed, int, minimum=0)

    def build(self, input_shape: Any) -> None:
        """Creates the layer's weights, alpha and the generator."""
        super().build(input_shape)
        shape = getattr(self, self.kernel_name).shape
        outputs = 2 if self.kernel_name == "depthwise_kernel" else 1
        shapes = {"channel": shape[-outputs:], "layer": (), "element": shape}
        self.noise_alpha = self.add_weight(
            ALPHA, shapes[self.noise], initializer=keras.initializers.Constant(_START)
        )
        with tf.init_scope():
            self.generator = tf.random.Generator.from_seed(self.noise_seed, alg="philox")

    def noisy_kernel(self, training: Any) -> tf.Tensor:
        """The kernel as a forward pass uses it, with new noise if there is any."""
        kernel = tf.convert_to_tensor(getattr(self, self.kernel_name))
        if not (training or self.noise_at_inference):
            return kernel
        eta = self.generator.normal(kernel.shape, dtype=tf.float32) * _deviation(kernel)
        eta = tf.where(kernel == 0, tf.zeros((), kernel.dtype), tf.cast(eta, kernel.dtype))
        return kernel + self.noise_alpha * tf.stop_gradient(eta)

    def reset_noise(self, seed: int | None = None) -> None:
        """Starts the generator again, from the layer's seed or from it and another one."""
        self.generator.reset_from_seed(self.noise_seed if seed is None else [self.noise_seed, seed])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer, and those of the noise."""
        return {
            **super().get_config(),
            "noise": self.noise,
            "noise_at_inference": self.noise_at_inference,
            "noise_seed": self.noise_seed,
        }


@keras.saving.register_keras_serializable("robust_sparse_tf")
class NoisyDense(WeightNoise, keras.layers.Dense):
    """A dense layer with noise on its weights; see `WeightNoise`."""

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Returns [batch, ..., units]."""
        outputs = tf.tensordot(inputs, self.noisy_kernel(training), 1)
        return _end(self, outputs)


class _NoisyConvolution(WeightNoise):
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Returns feature maps, as the layer without noise does."""
        # TensorFlow computes several groups on CPUs by XLA alone.
        convolve = self._jit_compiled_convolution_op if self.groups > 1 else self.convolution_op
        return _end(self, convolve(inputs, self.noisy_kernel(training)))


@keras.saving.register_keras_serializable("robust_sparse_tf")
class NoisyConv1D(_NoisyConvolution, keras.layers.Conv1D):
    """A 1D convolution with noise on its weights; see `WeightNoise`."""


@keras.saving.register_keras_serializable("robust_sparse_tf")
class NoisyConv2D(_NoisyConvolution, keras.layers.Conv2D):
    """A 2D convolution with noise on its weights; see `WeightNoise`."""


@keras.saving.register_keras_serializable("robust_sparse_tf")
class NoisyConv3D(_NoisyConvolution, keras.layers.Conv3D):
    """A 3D convolution with noise on its weights; see `WeightNoise`."""


@keras.saving.register_keras_serializable("robust_sparse_tf")
class NoisyDepthwiseConv2D(WeightNoise, keras.layers.DepthwiseConv2D):
    """A depthwise 2D convolution with noise on its weights; see `WeightNoise`."""

    kernel_name = "depthwise_kernel"

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Returns feature maps, as the layer without noise does."""
        outputs = keras.backend.depthwise_conv2d(
            inputs,
            self.noisy_kernel(training),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _end(self, outputs)


NOISY = {
    keras.layers.Dense: NoisyDense,
    keras.layers.Conv1D: NoisyConv1D,
    keras.layers.Conv2D: NoisyConv2D,
    keras.layers.Conv3D: NoisyConv3D,
    keras.layers.DepthwiseConv2D: NoisyDepthwiseConv2D,
}
"""The layer with noise for each layer without."""


def of_model(model: keras.Model) -> list[WeightNoise]:
    """The layers of a model, or of the network that it trains, with noise on their weights."""
    layers = (getattr(layer, "layer", layer) for layer in leaves(network_of(model)))
    return [layer for layer in layers if isinstance(layer, WeightNoise)]


def _deviation(kernel: tf.Tensor) -> tf.Tensor:
    """The standard deviation of all entries: float32 scalar."""
    kernel = tf.cast(kernel, tf.float32)
    size = kernel.shape.num_elements()
    return tf.math.reduce_std(kernel) * (size / max(size - 1, 1)) ** 0.5


def _end(layer: keras.layers.Layer, outputs: tf.Tensor) -> tf.Tensor:
    """Adds the bias, and applies the activation."""
    if layer.use_bias:
        form = getattr(layer, "data_format", "channels_last")
        outputs = keras.backend.bias_add(outputs, layer.bias, data_format=form)
    return outputs if layer.activation is None else layer.activation(outputs)
