"""Checks of networks, and the network inside a model that trains it."""

from typing import Any

import tf_keras as keras

from robust_sparse_tf.errors import InputError


def network_of(model: keras.Model) -> keras.Model:
    """The `network` that a model trains; a model without one is a network itself."""
    return getattr(model, "network", model)


def require_tf_keras(model: Any) -> None:
    """Raises InputError unless a model is a Sequential or functional tf_keras model."""
    require_model(model)
    if not (isinstance(model, keras.Sequential) or model._is_graph_network):
        raise InputError(f"model {model.name}: must be Sequential or functional, not subclassed")


def require_model(model: Any) -> None:
    """Raises InputError unless a model is a tf_keras model."""
    if not isinstance(model, keras.Model):
        found = f"{type(model).__module__}.{type(model).__name__}"
        raise InputError(
            f"model of type {found}: must be a tf_keras model (import tf_keras, not keras or "
            "tf.keras, which are Keras 3)"
        )


def require_single(network: keras.Model) -> None:
    """Raises InputError if a built network has several inputs or outputs."""
    for kind, shape in (("inputs", network.input_shape), ("outputs", network.output_shape)):
        if not isinstance(shape, tuple) or any(isinstance(size, tuple) for size in shape):
            several = f"{len(shape)} {kind}" if len(shape) > 1 else f"its {kind} in a dictionary"
            raise InputError(f"model {network.name}: has {several}; must have one")
