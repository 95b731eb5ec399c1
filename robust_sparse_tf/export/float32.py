"""Rebuilds networks of other precisions in float32, with the same weights."""

from typing import Any

import tf_keras as keras

from robust_sparse_tf.errors import InputError, reason

_OTHERS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


def rebuilt(network: keras.Model) -> keras.Model:
    """Returns a network that computes in float32: the given one, or one with the same weights.

    Args:
        network: a built Sequential or functional network with one input and one output.

    Raises:
        InputError: if it has a custom layer that cannot be built from its configuration.
    """
    others = [
        layer
        for layer in network.submodules
        if getattr(layer, "compute_dtype", "float32") in _OTHERS
    ]
    if not others:
        return network
    try:
        found = type(network).from_config(_changed(network.get_config()))
        found.set_weights(network.get_weights())
    except Exception as error:  # any exception
        raise InputError(
            f"model {network.name}: computes in {others[0].compute_dtype} (layer {others[0].name}) "
            f"and cannot be built in float32 ({reason(error)}); build it in float32 and call "
            "set_weights"
        ) from error
    return found


def _changed(config: Any) -> Any:
    """A configuration with all other precisions replaced by float32."""
    if isinstance(config, list | tuple):
        return [_changed(each) for each in config]
    if not isinstance(config, dict):
        return config
    return {key: _type(each) if "dtype" in key else _changed(each) for key, each in config.items()}


def _type(value: Any) -> Any:
    if isinstance(value, dict):  # a policy
        name = value.get("config", {}).get("name")
        return "float32" if name in _OTHERS else value
    return "float32" if value in _OTHERS else value
