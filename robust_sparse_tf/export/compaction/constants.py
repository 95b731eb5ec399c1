"""The channels that are the same number for every input and at every position."""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.export.compaction import kernels
from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import MERGES, WITH_KERNEL, Role, layers

Constants = list[np.ndarray]
"""By tensor: float64 [channels], NaN where a channel varies."""


def find(graph: Graph) -> Constants:
    """Finds the constant channels of all tensors."""
    constants = [np.full(graph.channels(t), np.nan) for t in range(len(graph.shapes))]
    for node in graph.nodes:
        if node.role is not Role.BOUNDARY:
            constants[node.output] = _outputs(graph, node, constants)
    return constants


def read_by(graph: Graph, node: Node, constants: Constants) -> tuple[np.ndarray, bool]:
    """The constants that a layer with a kernel reads, and whether there are zeros around them.

    A layer of zeros before it counts as padding of its own.
    """
    before = graph.maker(node.input)
    if before is not None and before.role is Role.ZERO_PADDING:
        return constants[before.input], True
    return constants[node.input], kernels.pads(node)


def _outputs(graph: Graph, node: Node, constants: Constants) -> np.ndarray:
    given = [constants[tensor] for tensor in node.inputs]
    first = given[0]
    match node.role:
        case role if role in WITH_KERNEL:
            return kernels.outputs_of(node, *read_by(graph, node, constants))
        case Role.FUNCTION:
            return _applied(node, first, len(graph.shapes[node.input]))
        case Role.PRELU:
            return np.where(first >= 0, first, np.nan)
        case Role.ZERO_PADDING:
            return np.where(first == 0, first, np.nan)
        case Role.MERGE:
            return _merged(node, np.stack(given))
        case Role.CONCATENATE:
            return np.concatenate(given)
        case Role.RESHAPE:
            return np.tile(first, graph.channels(node.output) // len(first))
        case Role.SHORTCUT:
            return np.concatenate([first, np.zeros(graph.channels(node.output) - len(first))])
    return first


def _applied(node: Node, values: np.ndarray, rank: int) -> np.ndarray:
    """A layer that acts on each channel alone, of constants."""
    if np.isnan(values).all():
        return values
    inputs = np.nan_to_num(values).reshape([1] * (rank - 1) + [-1])
    found = node.layer(tf.constant(inputs, node.layer.compute_dtype))
    return kernels.varying_unless(np.isfinite(values), np.reshape(found, -1))


def _merged(node: Node, values: np.ndarray) -> np.ndarray:
    found = MERGES[type(node.layer)](values)
    if type(node.layer) is layers.Multiply:
        found = np.where((values == 0).any(axis=0), 0, found)
    return kernels.varying_unless(np.isfinite(found), found)
