"""The channels that must stay.

Channels that layers tie together (an addition, an activation, a convolution per channel) form a
group, which stays or goes as a whole. This is the dependency graph of "DepGraph: Towards Any
Structural Pruning" (Fang, Ma, Song, Mi and Wang, 2023), with single channels as its nodes.
"""

import dataclasses

import numpy as np
from scipy.sparse import coo_array, csgraph

from robust_sparse_tf.export.compaction import kernels
from robust_sparse_tf.export.compaction.constants import Constants, read_by
from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import Role, is_elementwise

Ties = list[tuple[int, np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Kept:
    """The channels that stay.

    Attributes:
        masks: by tensor, bool [channels].
        alone: tensors of which one channel stays only because a layer needs one.
    """

    masks: list[np.ndarray]
    alone: list[int]

    def operands(self, node: Node) -> list[int]:
        """The tensors that a node reads; a concatenation leaves out those of no channels."""
        if node.role is not Role.CONCATENATE:
            return node.inputs
        return [i for i in node.inputs if self.masks[i].any()] or node.inputs[:1]


def keep(graph: Graph, constants: Constants) -> Kept:
    """Finds the smallest set of channels with the same outputs; at least one in each tensor."""
    groups = _groups(graph)
    needed = np.zeros(1 + max(each.max(initial=-1) for each in groups), bool)
    for tensor in _pinned(graph):
        needed[groups[tensor]] = True
    alone: list[int] = []
    while True:
        _spread(graph, constants, groups, needed)
        kept = Kept([needed[each] for each in groups], alone)
        empty = _empty(graph, kept)
        if empty is None:
            return kept
        needed[groups[empty][0]] = True
        alone.append(empty)


def ties(graph: Graph, node: Node) -> Ties:
    """(input, channels of the output, the channels of the input that they are tied to)."""
    if node.role in (Role.KERNEL, Role.SEPARABLE, Role.BOUNDARY):
        return []
    every = np.arange(graph.channels(node.output))
    if node.role is Role.CONCATENATE:
        ends = np.cumsum([graph.channels(tensor) for tensor in node.inputs])
        parts = zip(node.inputs, np.split(every, ends[:-1]), strict=True)
        return [(tensor, own, own - own[0]) for tensor, own in parts]
    channels = graph.channels(node.inputs[0])
    if node.role is Role.DEPTHWISE:
        return [(node.input, every, every // (len(every) // channels))]
    if node.role is Role.SHORTCUT:
        return [(node.input, every[:channels], every[:channels])]
    return [(tensor, every, every % channels) for tensor in node.inputs]


def _groups(graph: Graph) -> list[np.ndarray]:
    """The number of the group of each channel, by tensor."""
    sizes = [graph.channels(tensor) for tensor in range(len(graph.shapes))]
    numbers = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    edges = [np.zeros([2, 0], int)]
    for node in graph.nodes:
        for tensor, outputs, inputs in ties(graph, node):
            edges.append(np.stack([numbers[node.output][outputs], numbers[tensor][inputs]]))
    ends = np.concatenate(edges, axis=1)
    matrix = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(sum(sizes), sum(sizes)))
    _, found = csgraph.connected_components(matrix, directed=False)
    return [found[each] for each in numbers]


def _pinned(graph: Graph) -> list[int]:
    """The tensors of which all channels stay."""
    found = [0, graph.output]
    for node in graph.nodes:
        if node.role is Role.BOUNDARY:
            found += [*node.inputs, *node.outputs]
        elif node.weights and not is_elementwise(node.layer.activation):
            found += node.outputs
    return found


def _spread(
    graph: Graph, constants: Constants, groups: list[np.ndarray], needed: np.ndarray
) -> None:
    """Adds the groups that needed groups are computed from, until there are no more."""
    count = -1
    while count < (count := int(needed.sum())):
        for node in reversed(graph.nodes):
            if node.role in (Role.KERNEL, Role.SEPARABLE):
                inputs = kernels.inputs_needed(
                    node, *read_by(graph, node, constants), needed[groups[node.output]]
                )
                needed[groups[node.input][inputs]] = True


def _empty(graph: Graph, kept: Kept) -> int | None:
    """The last tensor that is computed and of which no channel stays."""
    computed = {graph.output}
    for node in reversed(graph.nodes):
        if computed.intersection(node.outputs):
            computed.update(kept.operands(node))
    empty = (t for t in sorted(computed, reverse=True) if not kept.masks[t].any())
    return next((tensor for tensor in empty if graph.channels(tensor)), None)
