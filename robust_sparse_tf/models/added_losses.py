"""What networks add to the loss by themselves: what their weights and their activations cost."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras


def of_weights(model: keras.Model) -> list[tf.Tensor]:
    """What the weights of a model cost: regularisers, and functions given to `add_loss`."""
    # `losses` mixes them with those of the last call, which may be one of an attack.
    layers = list(model._flatten_layers())
    found = [function() for layer in layers for function in layer._callable_losses]
    return [loss for loss in found if loss is not None]


def of_last_call(model: keras.Model) -> list[tf.Tensor]:
    """What the last call of a model cost: activity regularisers, and tensors from `add_loss`.

    Scalars, in the graph of that call and within its gradient tape.
    """
    layers = list(model._flatten_layers())
    return [tf.cast(loss, tf.float32) for layer in layers for loss in layer._eager_losses]


def copy_tensors(source: keras.Model, model: keras.Model) -> None:
    """Gives a functional model the tensors that `add_loss` was called with on another.

    Args:
        source: functional.
        model: made of the inputs of the other, and of any of its tensors as outputs.
    """
    for layer in source.layers:
        if type(layer).__name__ == "AddLoss":  # which tf_keras makes and does not export
            model.add_loss(layer.input)
