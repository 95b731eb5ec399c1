"""Builds the smaller network."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.export.compaction import kernels
from robust_sparse_tf.export.compaction.channels import Kept
from robust_sparse_tf.export.compaction.constants import Constants, read_by
from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import Role, layers


def rebuild(graph: Graph, constants: Constants, kept: Kept) -> keras.Model:
    """Builds a functional network with the channels that stay, and the names of the given one.

    Regularizers, constraints and initializers of layers with weights are left out, since they may
    depend on the sizes. Boundaries are copied; one that cannot be is shared with the given network.
    """
    network = graph.network
    (symbol,), (name,) = network.inputs, network.input_names
    shape = symbol.shape
    inputs = keras.Input(shape[1:], batch_size=shape[0], dtype=symbol.dtype, name=name)
    tensors: dict[int, tf.Tensor] = {0: inputs}
    copies: dict[int, keras.layers.Layer] = {}
    for node in _computed(graph, kept):
        if node.role is Role.BOUNDARY:
            made = _boundary(node, tensors, copies)
        else:
            made = [_call(graph, node, constants, kept, tensors)]
        tensors |= dict(zip(node.outputs, made, strict=True))
    outputs = tensors[graph.output]
    (name,) = network.output_names
    if outputs._keras_history.layer.name != name:  # that of a nested network
        outputs = layers.Activation("linear", name=name)(outputs)
    return keras.Model(inputs, outputs, name=network.name)


def _computed(graph: Graph, kept: Kept) -> list[Node]:
    """The nodes that the output follows from."""
    read, found = {graph.output}, []
    for node in reversed(graph.nodes):
        if read.intersection(node.outputs):
            read.update(kept.operands(node))
            found.append(node)
    return found[::-1]


def _call(
    graph: Graph, node: Node, constants: Constants, kept: Kept, tensors: dict[int, tf.Tensor]
) -> tf.Tensor:
    """The output of a smaller layer."""
    operands = [tensors[tensor] for tensor in kept.operands(node)]
    if node.role is Role.CONCATENATE and len(operands) == 1 and node.output != graph.output:
        return operands[0]
    changes, weights = _smaller(graph, node, constants, kept)
    layer = _copy(node, changes)
    several = node.role in (Role.MERGE, Role.CONCATENATE)
    outputs = layer(operands if several else operands[0])
    if weights:
        layer.set_weights(weights)
    return outputs


def _smaller(
    graph: Graph, node: Node, constants: Constants, kept: Kept
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The changes to a layer's configuration, and its weights."""
    inputs, outputs = kept.masks[node.inputs[0]], kept.masks[node.output]
    count = int(outputs.sum())
    if node.role is Role.DEPTHWISE:
        weights = {**node.weights, "depthwise_kernel": node.weights["depthwise_kernel"]}
        weights["depthwise_kernel"] = weights["depthwise_kernel"][..., inputs, :]
        if "bias" in weights:
            weights["bias"] = weights["bias"][outputs]
        return {"use_bias": "bias" in weights}, list(weights.values())
    if node.role in (Role.KERNEL, Role.SEPARABLE):
        weights = kernels.folded(node, *read_by(graph, node, constants), inputs, outputs)
        size = "units" if isinstance(node.layer, layers.Dense) else "filters"
        return {size: count, "use_bias": "bias" in weights}, list(weights.values())
    arrays = [np.asarray(weight) for weight in node.layer.get_weights()]
    sliced = [each[..., outputs] if each.shape[-1] == len(outputs) else each for each in arrays]
    return _changes(graph, node, outputs), sliced


def _changes(graph: Graph, node: Node, outputs: np.ndarray) -> dict[str, Any]:
    """The changes to the configuration of a layer without a kernel."""
    layer, count = node.layer, int(outputs.sum())
    if node.role is Role.SHORTCUT:
        return {"filters": count}
    if isinstance(layer, layers.Reshape):
        shape = [-1 if size is None else size for size in graph.shapes[node.output][1:-1]]
        return {"target_shape": (*shape, count)}
    if isinstance(layer, layers.Rescaling):
        parts = {"scale": layer.scale, "offset": layer.offset}
        return {
            name: np.asarray(part)[outputs].tolist() if np.size(part) > 1 else part
            for name, part in parts.items()
        }
    return {}


def _copy(node: Node, changes: dict[str, Any]) -> keras.layers.Layer:
    config = node.layer.get_config()
    config.pop("batch_input_shape", None)
    for key in config:
        if key.endswith(("_regularizer", "_constraint")):
            config[key] = None
        elif key.endswith("_initializer"):
            config[key] = "zeros"
    return type(node.layer).from_config({**config, **changes, "name": node.name})


def _boundary(
    node: Node, tensors: dict[int, tf.Tensor], copies: dict[int, keras.layers.Layer]
) -> list[tf.Tensor]:
    """The outputs of an unknown layer.

    Args:
        node: its call.
        tensors: all tensors of the new network by number.
        copies: layers by the `id` of those they are copies of; is added to.
    """

    def called(layer: keras.layers.Layer) -> list[tf.Tensor]:
        given: dict[str, list[tf.Tensor]] = {}
        for tensor, number in zip(node.call.keras_inputs, node.inputs, strict=True):
            given.setdefault(str(id(tensor)), []).append(tensors[number])
        args, kwargs = node.call.map_arguments(given)
        return tf.nest.flatten(layer(*args, **kwargs))

    layer = node.layer
    if id(layer) in copies:
        return called(copies[id(layer)])
    try:
        if isinstance(layer, layers.Lambda):  # a copy of its function would lack its globals
            raise TypeError
        copy = type(layer).from_config({**layer.get_config(), "name": node.name})
        made = called(copy)
        copy.set_weights(layer.get_weights())
    except Exception:  # of many types, in the user's code
        copy, made = layer, called(layer)
    if layer.weights:
        copies[id(layer)] = copy
    return made
