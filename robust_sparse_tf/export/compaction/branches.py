"""Cuts branches that add only constants."""

import numpy as np
import tf_keras as keras

from robust_sparse_tf.export.compaction.channels import Kept
from robust_sparse_tf.export.compaction.constants import Constants
from robust_sparse_tf.export.compaction.graph import Graph, Node
from robust_sparse_tf.export.compaction.kinds import Role


def cut(graph: Graph, constants: Constants, kept: Kept) -> bool:
    """Cuts the first constant branch of an addition, if there is one.

    Zeros are left out; other constants become the offset of a Rescaling layer, if one other
    branch is left.

    Returns:
        Whether the graph has changed; constants and channels are then to be found again.
    """
    for node in graph.nodes:
        if type(node.layer) not in (keras.layers.Add, keras.layers.Subtract) or node.reason:
            continue
        for place in range(len(node.inputs)):
            if _can_be_cut(graph, node, place, constants, kept):
                _cut(graph, node, place, constants)
                graph.forget_unread()
                return True
    return False


def _can_be_cut(graph: Graph, node: Node, place: int, constants: Constants, kept: Kept) -> bool:
    others = node.inputs[:place] + node.inputs[place + 1 :]
    shape = graph.shapes[node.output]
    if not any(graph.shapes[other] == shape for other in others):  # the branch gives the shape
        return False
    if type(node.layer) is keras.layers.Subtract and place == 0:
        return False
    values = constants[node.inputs[place]]
    if not np.isfinite(values[kept.masks[node.output]]).all():
        return False
    return len(others) == 1 or not np.nan_to_num(values).any()


def _cut(graph: Graph, node: Node, place: int, constants: Constants) -> None:
    """Cuts a branch; channels that vary in it are those that do not stay."""
    values = np.nan_to_num(constants[node.inputs.pop(place)])
    if len(node.inputs) > 1:
        return
    if not values.any():
        graph.drop(node)
        return
    sign = -1 if type(node.layer) is keras.layers.Subtract else 1
    node.layer = keras.layers.Rescaling(1.0, (sign * values).tolist(), name=node.name)
    node.role = Role.FUNCTION
