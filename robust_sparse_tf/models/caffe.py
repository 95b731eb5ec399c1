"""Weights from Caffe's files.

"Caffe: Convolutional Architecture for Fast Feature Embedding" (Jia et al., 2014,
https://arxiv.org/abs/1408.5093) stores networks as a protobuf message, `NetParameter`.
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.options import require

with epy.lazy_imports():
    import tf_keras as keras
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

# The part of caffe.proto that weights need: (name, number, type, whether repeated).
_MESSAGES = {
    "Shape": [("dim", 1, "INT64", True)],
    "Blob": [("data", 5, "FLOAT", True), ("shape", 7, "Shape", False)],
    "Layer": [("blobs", 7, "Blob", True)],
    "Net": [("layer", 100, "Layer", True)],
}


def load_caffe(path: str | os.PathLike[str], network: keras.Model) -> keras.Model:
    """Loads the weights of a `.caffemodel` file into a network, layer by layer in order.

    Caffe's kernels are [outputs, inputs] and [outputs, inputs, height, width], and images are
    flattened channels first; they are converted to Keras' layout.

    Args:
        path: the file, of Caffe 1.0 or later.
        network: built; dense layers and convolutions in sequence, with biases where the file has
            them, such as `lenet5()` or `lenet_300_100(use_bias=True)`. It is changed in place.

    Returns:
        The network.

    Raises:
        InputError: if the file cannot be read, or is of another network.
    """
    require("path", path, str, os.PathLike)
    require("network", network, keras.Model)
    stored = _read(path)
    layers = [layer for layer in network.layers if layer.weights]
    shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    found = [[blob.shape for blob in blobs] for blobs in stored]
    if found != [_of_caffe(own) for own in shapes]:
        raise InputError(
            f"{path}: holds weights of shapes {found}, network {network.name} takes "
            f"{[_of_caffe(own) for own in shapes]}"
        )
    channels = None
    for layer, (kernel, *biases) in zip(layers, stored, strict=True):
        layer.set_weights([_as_keras(kernel, channels), *biases])
        channels = len(kernel) if kernel.ndim == 4 else None
    return network


def _read(path: str | os.PathLike[str]) -> list[list[np.ndarray]]:
    """The arrays of each layer that has weights."""
    try:
        with open(path, "rb") as file:
            net = _messages()["Net"].FromString(file.read())
        layers = [[_array(blob) for blob in layer.blobs] for layer in net.layer]
    except (OSError, message.DecodeError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a .caffemodel file ({reason(error)})"
        ) from error
    found = [blobs for blobs in layers if blobs]
    if not found:
        raise InputError(
            f"{path}: holds no weights; must be a .caffemodel file of Caffe 1.0 or later"
        )
    return found


def _array(blob: Any) -> np.ndarray:
    return np.array(blob.data, np.float32).reshape(tuple(blob.shape.dim))


@functools.cache
def _messages() -> dict[str, Any]:
    """The message classes of `_MESSAGES`, by name."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="robust_sparse_tf/caffe.proto", package="caffe")
    for message_name, fields in _MESSAGES.items():
        own = file.message_type.add(name=message_name)
        for name, number, kind, repeated in fields:
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added = own.field.add(name=name, number=number, label=label)
            if kind in _MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                added.type = field.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in _MESSAGES
    }


def _of_caffe(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The weight shapes of a Keras dense layer or convolution in Caffe's layout."""
    kernel, *biases = shapes
    *sides, inputs, outputs = kernel if len(kernel) > 1 else (1, *kernel)
    return [(outputs, inputs, *sides), *biases]


def _as_keras(kernel: np.ndarray, channels: int | None) -> np.ndarray:
    """Converts a kernel to Keras' layout.

    Args:
        kernel: Caffe's.
        channels: channels of the images that a dense layer flattens; None if it flattens none.
    """
    if kernel.ndim == 4:
        return kernel.transpose(2, 3, 1, 0)
    outputs, inputs = kernel.shape
    if channels:
        side = math.isqrt(inputs // channels)
        kernel = kernel.reshape(outputs, channels, side, side).transpose(0, 2, 3, 1)
    return kernel.reshape(outputs, inputs).T
