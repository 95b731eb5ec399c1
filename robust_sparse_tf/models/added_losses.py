"""Losses that networks add themselves: weight and activity penalties."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


def of_weights(model: keras.Model) -> list[tf.Tensor]:
    """Weight penalties of a model: regularisers, and functions given to `add_loss`."""
    # `losses` also has those of the last call, which may be one of an attack.
    layers = list(model._flatten_layers())
    found = [function() for layer in layers for function in layer._callable_losses]
    return [loss for loss in found if loss is not None]


def of_last_call(model: keras.Model) -> list[tf.Tensor]:
    """Activity penalties of the last call: activity regularisers, and tensors from `add_loss`.

    Scalars, in the graph of that call and within its gradient tape.
    """
    layers = list(model._flatten_layers())
    return [tf.cast(loss, tf.float32) for layer in layers for loss in layer._eager_losses]


def tensors(model: keras.Model) -> list[Any]:
    """The symbolic tensors given to `add_loss` of a functional model."""
    return [
        node.keras_inputs[0]
        for nodes in model._nodes_by_depth.values()
        for node in nodes
        # tf_keras makes this layer and does not export it; models that share it share its calls.
        if type(node.layer).__name__ == "AddLoss" and _starts_at(node, model.inputs)
    ]


def _starts_at(node: Any, inputs: list[Any]) -> bool:
    if node.is_input:
        return any(node.outputs is each for each in inputs)
    return all(_starts_at(parent, inputs) for parent in node.parent_nodes)
