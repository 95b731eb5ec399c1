"""Weights of networks: the kernels, which have at least two dimensions, and setting them all."""

from collections.abc import Sequence

import numpy as np
import tf_keras as keras

from robust_sparse_tf.sparsity.wrapper import leaves


def kernels(network: keras.Model) -> dict[str, np.ndarray]:
    """The kernels of a network by name, in the order of its layers; a shared one counts once.

    A kernel has the name of its layer, plus its own if the layer has several.
    """
    found: dict[str, np.ndarray] = {}
    known: set[int] = set()
    for layer in leaves(network):
        own = [weight for weight in layer.weights if weight.shape.rank >= 2]
        for weight in own:
            if id(weight) in known:
                continue
            known.add(id(weight))
            short = weight.name.split("/")[-1].split(":")[0]
            name = f"{layer.name}/{short}" if len(own) > 1 else layer.name
            found[_free(name, found)] = weight.numpy()
    return found


def _free(name: str, taken: dict[str, np.ndarray]) -> str:
    """The name, with a number if it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def set_weights(network: keras.Model, values: Sequence[np.ndarray]) -> None:
    """Sets all weights of a network, bit-identical, and what its layers compute from them.

    `set_weights` of Keras does not update layers such as an adapted Normalization.
    """
    network.set_weights(values)
    for layer in leaves(network):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
