"""A network at inference with its batch normalization folded into the layers before it."""

from collections import Counter
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity.wrapper import MaskedLayer

_AFFINE = (keras.layers.Dense, keras.layers.Conv2D)


class Folded:
    """From images to the logits of a network at inference; faster to differentiate by images.

    Batch normalization after a dense layer or convolution becomes a factor of its kernel. At
    inference both are linear, so that the logits are the same up to rounding. The gradient by
    images then needs none of TensorFlow's gradients by mean and variance.

    Args:
        network: a functional tf_keras model in float32, with or without masks.
    """

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        self._nodes = [
            node
            for depth in sorted(network._nodes_by_depth, reverse=True)
            for node in network._nodes_by_depth[depth]
            if not node.is_input
        ]
        self._norms = _norms(network, self._nodes)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """float32 [batch, classes] of float32 [batch, ...]."""
        values = {str(id(self._network.inputs[0])): images}
        for node in self._nodes:
            if node.flat_output_ids[0] in values:
                continue  # a batch normalization that is folded
            norm = self._norms.get(node.flat_output_ids[0])
            if norm is None:
                values[node.flat_output_ids[0]] = _called(node, values)
            else:
                x = values[node.flat_input_ids[0]]
                values[norm.flat_output_ids[0]] = _affine(_inner(node), _inner(norm), x)
        return values[str(id(self._network.outputs[0]))]


def can_fold(network: keras.Model) -> bool:
    """Whether `Folded` can call a network, and there is batch normalization to fold."""
    if not getattr(network, "_is_graph_network", False) or network.compute_dtype != "float32":
        return False
    single = len(network.inputs) == len(network.outputs) == 1
    kinds = [type(_layer(layer)) for layer in network.layers]
    return single and keras.layers.BatchNormalization in kinds


def _norms(network: keras.Model, nodes: list[Any]) -> dict[str, Any]:
    """The nodes of batch normalization to fold, by the output of the layer before each."""
    made = {node.flat_output_ids[0]: node for node in nodes}
    readers = Counter(number for node in nodes for number in node.flat_input_ids)
    readers.update(str(id(output)) for output in network.outputs)
    found = {}
    for node in nodes:
        before = made.get(node.flat_input_ids[0])
        if before and readers[node.flat_input_ids[0]] == 1 and _fits(_inner(before), _inner(node)):
            found[before.flat_output_ids[0]] = node
    return found


def _fits(layer: keras.layers.Layer, norm: keras.layers.Layer) -> bool:
    """Whether a layer is batch normalization that can be folded into the layer before it."""
    if type(norm) is not keras.layers.BatchNormalization or type(layer) not in _AFFINE:
        return False
    last = len(norm.input_shape) - 1
    linear = layer.activation in (None, keras.activations.linear)
    return linear and list(norm.axis) == [last] and _is_channels_last(layer)


def _is_channels_last(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def _affine(
    layer: keras.layers.Layer, norm: keras.layers.BatchNormalization, x: tf.Tensor
) -> tf.Tensor:
    scale = tf.math.rsqrt(norm.moving_variance + norm.epsilon)
    scale = scale * norm.gamma if norm.scale else scale
    mean = norm.moving_mean - layer.bias if layer.use_bias else norm.moving_mean
    offset = (norm.beta if norm.center else 0.0) - mean * scale
    kernel = layer.kernel * scale
    if type(layer) is keras.layers.Dense:
        return tf.linalg.matmul(x, kernel) + offset
    return tf.nn.bias_add(layer.convolution_op(x, kernel), offset)


def _called(node: Any, values: dict[str, tf.Tensor]) -> tf.Tensor:
    """The output of a node's layer at inference."""
    numbers = node.flat_input_ids
    given = {number: [values[number]] * numbers.count(number) for number in numbers}
    args, kwargs = node.map_arguments(given)
    if node.layer._expects_training_arg and kwargs.get("training") is None:
        kwargs["training"] = False
    return node.layer(*args, **kwargs)


def _inner(node: Any) -> keras.layers.Layer:
    return _layer(node.layer)


def _layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, MaskedLayer) else layer
