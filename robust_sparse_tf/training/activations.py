"""The activations of a network's ReLUs, to penalise or count them."""

import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import added_losses


def with_activations(network: keras.Model) -> tuple[keras.Model, list[str]]:
    """Returns a network with the outputs of its hidden ReLUs added; it shares the layers.

    Args:
        network: Sequential or functional, dense or from `sparsify`.

    Returns:
        The network, from inputs to [logits, activations, activations, ...], and the names of the
        layers of the activations, from the first to the last.

    Raises:
        InputError: if no layer of the network ends in a ReLU; layers of nested models do not count.
    """
    # Only calls in this network: a shared layer has outputs in other networks, too.
    calls = network._nodes_by_depth
    found = {
        getattr(node.layer, "layer", node.layer): node.outputs
        for depth in sorted(calls, reverse=True)
        for node in calls[depth]
    }
    outputs = {layer.name: value for layer, value in found.items() if _is_rectified(layer)}
    if not outputs:
        raise InputError(f"model {network.name}: has no layer with a ReLU")
    both = keras.Model(network.inputs, [network.output, *outputs.values()])
    for loss in added_losses.tensors(network):
        both.add_loss(loss)
    return both, list(outputs)


def _is_rectified(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return True
    return getattr(layer, "activation", None) is keras.activations.relu
