"""Identifies the model of an evaluation."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from robust_sparse_tf.models.network import network_of

_NAMES = ("name", "inbound_nodes", "input_layers", "output_layers", "shared_object_id")


def of_network(model: Any) -> str:
    """A digest of a tf_keras model's layers and weights; "" for anything else.

    Ignores the names of layers, because Keras numbers them per process.
    """
    network = network_of(model)
    if not isinstance(network, keras.Model):
        return ""
    layers = network._flatten_layers(include_self=False)
    whole = hashlib.sha256(json.dumps([_described(layer) for layer in layers]).encode())
    for weight in network.get_weights():
        whole.update(f"{weight.shape} {weight.dtype} ".encode() + weight.tobytes())
    return whole.hexdigest()


def of_logits(logits: np.ndarray) -> str:
    """A digest of a function's outputs for some images."""
    return hashlib.sha256(logits.tobytes()).hexdigest()


def _described(layer: keras.layers.Layer) -> list[Any]:
    try:
        config = layer.get_config()
    except NotImplementedError:  # Keras cannot describe it; only its weights count
        config = {}
    return [type(layer).__qualname__, _plain(config)]


def _plain(value: Any) -> Any:
    """A value without names, as JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items() if key not in _NAMES}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return type(value).__qualname__
