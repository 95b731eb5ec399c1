"""What a network is, and which one is inside the model that trains it."""

from typing import Any

import tf_keras as keras

from robust_sparse_tf.errors import InputError


def network_of(model: keras.Model) -> keras.Model:
    """The network that a model trains, its `network`; what has none is a network itself."""
    return getattr(model, "network", model)


def require_tf_keras(model: Any) -> None:
    """Raises InputError unless given a Sequential or functional tf_keras model."""
    require_model(model)
    if not (isinstance(model, keras.Sequential) or model._is_graph_network):
        raise InputError(f"model {model.name}: must be Sequential or functional, not subclassed")


def require_model(model: Any) -> None:
    """Raises InputError unless given a tf_keras model."""
    if not isinstance(model, keras.Model):
        found = f"{type(model).__module__}.{type(model).__name__}"
        raise InputError(
            f"model of type {found}: must be a tf_keras model (import tf_keras, not keras or "
            "tf.keras, which are Keras 3)"
        )


def require_single(network: keras.Model) -> None:
    """Raises InputError for a built network of several inputs or outputs."""
    for kind, shape in (("inputs", network.input_shape), ("outputs", network.output_shape)):
        if not isinstance(shape, tuple) or any(isinstance(size, tuple) for size in shape):
            several = f"{len(shape)} {kind}" if len(shape) > 1 else f"its {kind} in a dictionary"
            raise InputError(f"model {network.name}: has {several}; must have one")
