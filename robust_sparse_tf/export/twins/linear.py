"""Fully connected and convolutional operations, with real or quantised numbers."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.twins.node import Function, Node
from robust_sparse_tf.export.twins.reading import Tensor
from robust_sparse_tf.export.twins.rounding import on_the_fly, whole


def fully_connected(node: Node) -> Function:
    """A product with a matrix; the kernel is stored as [outputs, inputs]."""
    width = node.source(1).shape[1]

    def apply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        rows = x if node.options.keepNumDims else tf.reshape(x, [-1, width])
        return tf.linalg.matmul(rows, kernel)

    return _linear(node, [1, 0], apply, _per_row)


def conv_2d(node: Node) -> Function:
    """A convolution; the kernel is stored as [outputs, height, width, inputs]."""
    options, kernel = node.options, node.source(1)
    dilations = [options.dilationHFactor, options.dilationWFactor]
    pointwise = kernel.shape[1:3] == (1, 1) and options.strideH == options.strideW == 1

    def apply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel, node.strides, node.padding, dilations=dilations)

    if kernel.bits == 4:  # XNNPACK does not take them
        return _linear(node, [1, 2, 3, 0], apply, _per_example_by_tflite)
    return _linear(node, [1, 2, 3, 0], apply, _per_row if pointwise else _per_example)


def depthwise_conv_2d(node: Node) -> Function:
    """A convolution of each channel; the kernel is stored as [1, height, width, outputs]."""
    options = node.options
    dilations = [options.dilationHFactor, options.dilationWFactor]

    def apply(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        height, width, _, outputs = kernel.shape
        each = options.depthMultiplier
        kernel = tf.reshape(kernel, [height, width, outputs // each, each])
        strides = [1, options.strideH, options.strideW, 1]
        return tf.nn.depthwise_conv2d(x, kernel, strides, node.padding, dilations=dilations)

    return _linear(node, [1, 2, 0, 3], apply, _per_example_by_tflite)


OnTheFly = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def _per_row(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return on_the_fly(x, [-1])


def _per_example(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return on_the_fly(x, list(range(1, x.shape.rank)))


def _per_example_by_tflite(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return on_the_fly(x, list(range(1, x.shape.rank)), xnnpack=False)


def _linear(node: Node, order: list[int], apply: Function, quantise: OnTheFly) -> Function:
    """An operation that is linear in its input.

    Products of quantised numbers are summed up as whole numbers, as the file does it; the kernels
    for this were found by comparing single operations with files.

    Args:
        node: the operation: input, kernel and, perhaps, bias.
        order: the order of the kernel's axes for TensorFlow.
        apply: from input and kernel to the output without bias.
        quantise: converts real inputs of a quantised kernel to whole numbers and their scale.
    """
    x, kernel = node.source(0), _known(node, node.source(1))
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    offset = 0.0 if bias is None else tf.constant(_known(node, bias).real())
    if not kernel.is_quantised:
        weights = tf.constant(kernel.real().transpose(order))
        return lambda values, *_: node.activated(apply(values, weights) + offset)

    weights = tf.constant(kernel.numbers().astype(np.float32).transpose(order))
    scale = tf.constant(kernel.scale)  # one, or one per output

    def static(values: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        sums = apply(whole(values, x.scale[0]), weights)
        return node.activated(sums * (scale * x.scale[0]) + offset)

    def dynamic(values: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        numbers, own = quantise(values)
        return node.activated(apply(numbers, weights) * (own * scale) + offset)

    return static if x.is_quantised else dynamic


def _known(node: Node, tensor: Tensor) -> Tensor:
    if tensor.stored is None:
        raise InputError(f"{node.name} with weights that are computed has no twin")
    return tensor
