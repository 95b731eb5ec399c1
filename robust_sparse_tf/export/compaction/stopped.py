"""The reasons why channels stay that are constant."""

import numpy as np

from robust_sparse_tf.export.compaction import kernels
from robust_sparse_tf.export.compaction.channels import Kept
from robust_sparse_tf.export.compaction.constants import Constants, read_by
from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import WITH_KERNEL, Role, is_elementwise

Stops = list[tuple[str, str]]
"""(layer, reason)."""


def reasons(graph: Graph, constants: Constants, kept: Kept) -> Stops:
    """The layers at which compaction stopped, in their order, and why."""
    found: Stops = []
    for node in graph.nodes:
        if not all(kept.masks[tensor].any() for tensor in node.outputs if graph.channels(tensor)):
            continue  # is not in the smaller network
        if node.role is Role.BOUNDARY:
            found.append((node.name, f"{node.reason}: all channels before and after it stay"))
        elif node.role is Role.MERGE:
            found += _merge(graph, node, constants, kept)
        elif node.role in WITH_KERNEL:
            found += _padding(graph, node, constants, kept)
            found += _activation(node, graph.output)
    found += _output(graph, constants)
    names = dict.fromkeys(_origin(graph, tensor) for tensor in kept.alone)
    return found + [(name, "nothing needs it, but one channel of a layer stays") for name in names]


def _merge(graph: Graph, node: Node, constants: Constants, kept: Kept) -> Stops:
    stay = kept.masks[node.output] & np.isnan(constants[node.output])
    counts = {
        tensor: int((np.isfinite(constants[tensor]) & stay).sum())
        for tensor in dict.fromkeys(node.inputs)
    }
    return [
        (
            _origin(graph, tensor),
            f"{_channels(count, 'constant')} because those at the other inputs of {node.name} vary",
        )
        for tensor, count in counts.items()
        if count
    ]


def _padding(graph: Graph, node: Node, constants: Constants, kept: Kept) -> Stops:
    values, padded = read_by(graph, node, constants)
    outputs = kept.masks[node.output]
    if not padded:
        return []
    if node.role is Role.DEPTHWISE:
        multiplier = len(outputs) // len(values)
        lost = np.isnan(constants[node.output]).reshape(-1, multiplier).any(axis=1)
        stay = kept.masks[node.input] & np.isfinite(values) & lost
    else:
        needed = kernels.inputs_needed(node, values, padded, outputs)
        stay = needed & np.isfinite(values)
    count = int((stay & (values != 0)).sum())
    why = f"because of the zeros around them in {node.name}"
    return [(_origin(graph, node.input), f"{_channels(count, 'constant')} {why}")] if count else []


def _activation(node: Node, output: int) -> Stops:
    if node.output == output or is_elementwise(node.layer.activation):
        return []
    name = getattr(node.layer.activation, "__name__", type(node.layer.activation).__name__)
    return [(node.name, f"activation {name} may read all of its channels: they stay")]


def _output(graph: Graph, constants: Constants) -> Stops:
    count = int(np.isfinite(constants[graph.output]).sum())
    why = "because the output keeps its shape"
    return (
        [(_origin(graph, graph.output), f"{_channels(count, 'constant')} {why}")] if count else []
    )


def _origin(graph: Graph, tensor: int) -> str:
    """The name of the layer that computes a tensor; those that only pass it on are skipped."""
    while maker := graph.maker(tensor):
        if len(maker.inputs) > 1 or maker.role in (*WITH_KERNEL, Role.BOUNDARY):
            return maker.name
        tensor = maker.input
    return graph.network.input_names[0]


def _channels(count: int, kind: str) -> str:
    return f"{count} {kind} channel{'' if count == 1 else 's'} stay{'s' if count == 1 else ''}"
