"""Operations of TFLite as functions of TensorFlow; a new one is an entry of a table."""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.twins import linear
from robust_sparse_tf.export.twins.node import Function, Node
from robust_sparse_tf.export.twins.rounding import away, quantised, real, up, whole

Builder: TypeAlias = Callable[[Node], Function]
"""From an operation to its function."""


def function_of(node: Node) -> Function:
    """The operation as a differentiable function; a quantised output is rounded.

    Raises:
        InputError: for an operation that is not in the tables.
    """
    if node.name in _MOVES:
        return _MOVES[node.name](node)
    if node.name in _ROUNDS and node.output.is_quantised:
        return _ROUNDS[node.name](node)
    if node.name not in _COMPUTES:
        raise InputError(f"operation {node.name} has no twin")
    compute = _COMPUTES[node.name](node)
    if not node.output.is_quantised:
        return compute
    return lambda *values: quantised(compute(*values), node.output)


def _plain(function: Function) -> Builder:
    return lambda node: function


def _fused(function: Function) -> Builder:
    """Two inputs, and perhaps an activation."""
    return lambda node: lambda a, b: node.activated(function(a, b))


def _reduced(function: Function) -> Builder:
    return lambda node: lambda x, axes: function(x, axes, keepdims=node.options.keepDims)


def _pooled(pool: Function) -> Builder:
    def build(node: Node) -> Function:
        size = [1, node.options.filterHeight, node.options.filterWidth, 1]
        return lambda x: node.activated(pool(x, size, node.strides, node.padding))

    return build


def _average_of_quantised(node: Node) -> Function:
    """Halves are rounded away from the whole number zero, not from the zero point."""
    pool, output = _COMPUTES[node.name](node), node.output
    zero = float(output.zero[0])
    return lambda x: real(
        pool(whole(x, output.scale[0])), output, lambda sums: away(sums + zero) - zero
    )


def _mean_of_quantised(node: Node) -> Function:
    """The mean of whole numbers, because real ones are not exactly halfway where those are."""
    mean, entry, output = _COMPUTES[node.name](node), node.source(0), node.output
    ratio = entry.scale[0] / output.scale[0]
    return lambda x, axes: real(mean(whole(x, entry.scale[0]), axes) * ratio, output)


def _leaky_relu_of_quantised(node: Node) -> Function:
    """XNNPACK stores both slopes as multiples of 1/256."""
    entry, output = node.source(0), node.output
    slope = entry.scale[0] / output.scale[0]
    above, below = (round(256 * float(each)) / 256 for each in (slope, slope * node.options.alpha))

    def apply(x: tf.Tensor) -> tf.Tensor:
        numbers = whole(x, entry.scale[0])
        return real(tf.where(numbers > 0, above, below) * numbers, output, up)

    return apply


def _reshape(node: Node) -> Function:
    if node.batch and node.output.shape[:1] == (node.batch,):  # the twin takes any batch size
        return lambda x, *_: tf.reshape(x, [-1, *node.output.shape[1:]])
    if len(node.inputs) > 1:
        return tf.reshape
    return lambda x: tf.reshape(x, node.options.newShape)


def _strided_slice(node: Node) -> Function:
    options = node.options
    masks = dict(
        begin_mask=options.beginMask,
        end_mask=options.endMask,
        ellipsis_mask=options.ellipsisMask,
        new_axis_mask=options.newAxisMask,
        shrink_axis_mask=options.shrinkAxisMask,
    )
    return lambda *values: tf.strided_slice(*values, **masks)


def _cast(node: Node) -> Function:
    is_real = node.output.is_quantised or node.output.dtype.kind == "f"
    return lambda x: tf.cast(x, tf.float32 if is_real else node.output.dtype)


# They copy values, so that a quantised output needs no rounding.
_MOVES: dict[str, Builder] = {
    "DEQUANTIZE": _plain(tf.identity),  # quantised values are real numbers here
    "EXPAND_DIMS": _plain(tf.expand_dims),
    "GATHER": lambda node: lambda x, places: tf.gather(x, places, axis=node.options.axis),
    "MAX_POOL_2D": _pooled(tf.nn.max_pool2d),
    "PACK": lambda node: lambda *values: tf.stack(values, node.options.axis),
    "PAD": _plain(tf.pad),
    "RESHAPE": _reshape,
    "SHAPE": _plain(tf.shape),
    "SLICE": _plain(tf.slice),
    "SQUEEZE": lambda node: lambda x: tf.squeeze(x, node.options.squeezeDims),
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _plain(tf.transpose),
    "ZEROS_LIKE": _plain(tf.zeros_like),
}
_COMPUTES: dict[str, Builder] = {
    "ADD": _fused(tf.add),
    "AVERAGE_POOL_2D": _pooled(tf.nn.avg_pool2d),
    "CAST": _cast,
    "CONCATENATION": lambda node: lambda *all: node.activated(tf.concat(all, node.options.axis)),
    "CONV_2D": linear.conv_2d,
    "DEPTHWISE_CONV_2D": linear.depthwise_conv_2d,
    "DIV": _fused(tf.divide),
    "ELU": _plain(tf.nn.elu),
    "FULLY_CONNECTED": linear.fully_connected,
    "GELU": lambda node: lambda x: tf.nn.gelu(x, node.options.approximate),
    "HARD_SWISH": _plain(lambda x: x * tf.nn.relu6(x + 3) / 6),
    "LEAKY_RELU": lambda node: lambda x: tf.nn.leaky_relu(x, node.options.alpha),
    "LOGISTIC": _plain(tf.sigmoid),
    "MAXIMUM": _plain(tf.maximum),
    "MEAN": _reduced(tf.reduce_mean),
    "MINIMUM": _plain(tf.minimum),
    "MUL": _fused(tf.multiply),
    "PADV2": _plain(lambda x, sides, value: tf.pad(x, sides, constant_values=value)),
    "PRELU": _plain(lambda x, slope: tf.nn.relu(x) - slope * tf.nn.relu(-x)),
    "QUANTIZE": _plain(tf.identity),
    "REDUCE_MAX": _reduced(tf.reduce_max),
    "REDUCE_PROD": _reduced(tf.reduce_prod),
    "RELU": _plain(tf.nn.relu),
    "RELU6": _plain(tf.nn.relu6),
    "SOFTMAX": lambda node: lambda x: tf.nn.softmax(node.options.beta * x),
    "SUB": _fused(tf.subtract),
    "SUM": _reduced(tf.reduce_sum),
    "TANH": _plain(tf.tanh),
}
# They often have halves to round, and each rounds them in its own way.
_ROUNDS: dict[str, Builder] = {
    "AVERAGE_POOL_2D": _average_of_quantised,
    "LEAKY_RELU": _leaky_relu_of_quantised,
    "MEAN": _mean_of_quantised,
}
