"""Layers that compaction knows, by what they do to channels (the entries of the last axis)."""

import enum
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.models.layers import BinaryLogits, ParameterFreeShortcut

layers = keras.layers
Shape = tuple[int | None, ...]


class Role(enum.Enum):
    """A layer's effect on channels."""

    KERNEL = "each output reads all inputs through a kernel [..., inputs, outputs]"
    SEPARABLE = "a kernel per channel, followed by a kernel [..., inputs, outputs]"
    DEPTHWISE = "a kernel per channel"
    FUNCTION = "the same function of each number, or one per channel"
    SAME = "moves or averages numbers within a channel; a constant stays what it is"
    PRELU = "a learned slope per entry for numbers below 0"
    ZERO_PADDING = "adds zeros around a channel"
    MERGE = "joins channels of equal index"
    CONCATENATE = "puts channels side by side"
    RESHAPE = "makes positions into channels"
    SHORTCUT = "adds channels of zeros at the end"
    BOUNDARY = "unknown; all channels before and after it stay"


MERGES = {
    layers.Add: lambda values: np.sum(values, axis=0),
    layers.Subtract: lambda values: values[0] - values[1],
    layers.Average: lambda values: np.mean(values, axis=0),
    layers.Maximum: lambda values: np.max(values, axis=0),
    layers.Minimum: lambda values: np.min(values, axis=0),
    layers.Multiply: lambda values: np.prod(values, axis=0),
}
"""What the layers do to constants [layers, channels]."""

_ROLES: dict[type, Role] = {
    **dict.fromkeys([layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D], Role.KERNEL),
    **dict.fromkeys([layers.SeparableConv1D, layers.SeparableConv2D], Role.SEPARABLE),
    **dict.fromkeys([layers.DepthwiseConv1D, layers.DepthwiseConv2D], Role.DEPTHWISE),
    **dict.fromkeys(
        [
            layers.Activation,
            layers.ReLU,
            layers.LeakyReLU,
            layers.ELU,
            layers.ThresholdedReLU,
            layers.BatchNormalization,
            layers.Rescaling,
        ],
        Role.FUNCTION,
    ),
    **dict.fromkeys(
        [
            layers.Dropout,
            layers.SpatialDropout1D,
            layers.SpatialDropout2D,
            layers.SpatialDropout3D,
            layers.GaussianNoise,
            layers.GaussianDropout,
            layers.AlphaDropout,
            layers.ActivityRegularization,
            layers.Identity,
            layers.MaxPooling1D,
            layers.MaxPooling2D,
            layers.MaxPooling3D,
            layers.AveragePooling1D,
            layers.AveragePooling2D,
            layers.AveragePooling3D,
            layers.GlobalMaxPooling1D,
            layers.GlobalMaxPooling2D,
            layers.GlobalMaxPooling3D,
            layers.GlobalAveragePooling1D,
            layers.GlobalAveragePooling2D,
            layers.GlobalAveragePooling3D,
            layers.UpSampling1D,
            layers.UpSampling2D,
            layers.UpSampling3D,
            layers.Cropping1D,
            layers.Cropping2D,
            layers.Cropping3D,
            layers.RepeatVector,
            layers.Permute,
        ],
        Role.SAME,
    ),
    layers.PReLU: Role.PRELU,
    **dict.fromkeys(
        [layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D], Role.ZERO_PADDING
    ),
    **dict.fromkeys(MERGES, Role.MERGE),
    layers.Concatenate: Role.CONCATENATE,
    **dict.fromkeys([layers.Flatten, layers.Reshape], Role.RESHAPE),
    ParameterFreeShortcut: Role.SHORTCUT,
}
_MIXING = (
    layers.Softmax,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.UnitNormalization,
    layers.Normalization,
    layers.SimpleRNN,
    layers.GRU,
    layers.LSTM,
    layers.Bidirectional,
    layers.MultiHeadAttention,
    BinaryLogits,
)
WITH_KERNEL = (Role.KERNEL, Role.SEPARABLE, Role.DEPTHWISE)

_NAMES = ("linear", "relu", "elu", "selu", "gelu", "swish", "mish", "softplus", "softsign", "tanh")
_ELEMENTWISE = [
    *map(keras.activations.get, (*_NAMES, "sigmoid", "hard_sigmoid", "exponential")),
    *(tf.nn.relu, tf.nn.relu6, tf.nn.leaky_relu, tf.nn.elu, tf.nn.selu, tf.nn.gelu, tf.nn.silu),
    *(tf.nn.softplus, tf.nn.softsign, tf.nn.tanh, tf.nn.sigmoid),
]
_ACTIVATION_LAYERS = (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.ThresholdedReLU)


def is_elementwise(activation: Any) -> bool:
    """Whether an activation is known to act on each number alone."""
    known = any(activation is each for each in _ELEMENTWISE)
    return known or type(activation) in _ACTIVATION_LAYERS


def role_of(layer: keras.layers.Layer) -> Role:
    """The role of a layer's class; subclasses are unknown, since they may do more."""
    return _ROLES.get(type(layer), Role.BOUNDARY)


def refusal(layer: keras.layers.Layer, call: Any, inputs: list[Shape], outputs: list[Shape]) -> str:
    """The reason why a call of a layer is a boundary; "" if it is none.

    Args:
        layer: the layer.
        call: tf_keras' record of the call.
        inputs: shapes of the tensors that it reads.
        outputs: shapes of the tensors that it makes.
    """
    kind = type(layer).__name__
    if type(layer) in _MIXING:
        return f"{kind} needs all of its channels"
    if role_of(layer) is Role.BOUNDARY:
        function = getattr(layer, "symbol", "")
        return f"{kind}{f' {function}' if function else ''} is not a known layer"
    if _has_arguments(call, len(inputs)):
        return "is called with other arguments than tensors"
    if layer.compute_dtype not in ("float32", "float64"):
        return f"computes in {layer.compute_dtype}"
    if getattr(layer, "data_format", None) == "channels_first":
        return "has the channels first"
    if any(len(shape) < 2 or shape[-1] is None for shape in [*inputs, *outputs]):
        return "has an unknown number of channels"
    return _own_refusal(layer, inputs, outputs)


def _has_arguments(call: Any, tensors: int) -> bool:
    """Whether a call has arguments with an effect at inference, beside its tensors."""
    first, *others = call.call_args or [None]
    others += call.call_kwargs.values()
    count = len(first) if isinstance(first, list | tuple) else 1
    return count != tensors or any(each is not None and each is not False for each in others)


def _own_refusal(layer: keras.layers.Layer, inputs: list[Shape], outputs: list[Shape]) -> str:
    """The reason why a layer of a known class is a boundary."""
    rank, channels = len(inputs[0]), inputs[0][-1]
    last = (rank - 1, -1)
    kind, role = type(layer), role_of(layer)
    if getattr(layer, "groups", 1) > 1:
        return f"has {layer.groups} groups"
    if kind is layers.Activation and not is_elementwise(layer.activation):
        name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
        return f"activation {name} is not known to act on each number alone"
    if kind is layers.BatchNormalization and tuple(layer.axis) not in {(axis,) for axis in last}:
        return f"normalizes axis {list(layer.axis)}"
    if kind is layers.Rescaling and any(np.ndim(each) > 1 for each in (layer.scale, layer.offset)):
        return "has a scale or an offset per position"
    if kind is layers.Permute and layer.dims[-1] != rank - 1:
        return "moves the channels"
    if role is Role.MERGE and any(len(s) != rank or s[-1] != channels for s in inputs):
        return "has inputs of different numbers of channels"
    if role is Role.CONCATENATE and layer.axis not in last:
        return f"joins axis {layer.axis}"
    if role is Role.RESHAPE and outputs[0][-1] % channels:  # type: ignore[operator]
        return "mixes channels and positions"
    return ""
