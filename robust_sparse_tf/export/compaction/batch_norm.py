"""Folds batch normalization into the layer before it."""

import numpy as np
import tf_keras as keras

from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import WITH_KERNEL, Role


def fold(graph: Graph) -> list[tuple[str, str]]:
    """Folds each batch normalization that can be, and removes it from the graph.

    Returns:
        (layer, reason) for each other one.
    """
    left = []
    for node in list(graph.nodes):
        if type(node.layer) is not keras.layers.BatchNormalization or node.role is Role.BOUNDARY:
            continue
        reason = _obstacle(graph, node)
        if reason:
            left.append((node.name, f"is not folded: {reason}"))
            continue
        before = graph.maker(node.input)
        assert before is not None
        _scale(before, node.layer)
        graph.drop(node)
    return left


def _obstacle(graph: Graph, node: Node) -> str:
    """The reason why a batch normalization cannot be folded; "" if it can."""
    before = graph.maker(node.input)
    if before is None:
        return "it reads the input of the network"
    if before.role not in WITH_KERNEL:
        return f"it follows {before.name}, which is no convolution or dense layer of its own"
    if before.layer.activation is not keras.activations.linear:
        return f"{before.name} has an activation"
    if len(graph.readers(node.input)) > 1:
        return f"other layers read {before.name}, too"
    return ""


def _scale(before: Node, norm: keras.layers.BatchNormalization) -> None:
    """Multiplies the kernel, and changes the bias, as the normalization does at inference."""
    mean, variance = (
        each.numpy().astype(np.float64) for each in (norm.moving_mean, norm.moving_variance)
    )
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma.numpy()
    shift = -mean * scale + (norm.beta.numpy() if norm.center else 0)
    last = "depthwise_kernel" if before.role is Role.DEPTHWISE else "pointwise_kernel"
    name = "kernel" if before.role is Role.KERNEL else last
    kernel = before.weights[name]
    if before.role is Role.DEPTHWISE:  # its outputs are [inputs, multiplier]
        before.weights[name] = kernel * scale.reshape(kernel.shape[-2:])
    else:
        before.weights[name] = kernel * scale
    before.weights["bias"] = before.weights.get("bias", 0) * scale + shift
