"""The activations of a network's rectified units, to be penalised or counted."""

import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import added_losses


def with_activations(network: keras.Model) -> tuple[keras.Model, list[str]]:
    """A network that also gives what its hidden ReLUs do; it shares the layers.

    Args:
        network: Sequential or functional, dense or from `sparsify`.

    Returns:
        The network, from inputs to [logits, activations, activations, ...], and the names of the
        layers whose activations they are, from the first to the last.

    Raises:
        InputError: for a network without a layer that ends in a ReLU; those inside of nested models
            are not seen.
    """
    # By the calls of this network: a layer that others share has outputs in theirs, too.
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
