"""The one door to tensorflow-model-optimization's pruning wrapper and its private names."""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.sparsity.keras import prune, prune_registry
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import (
    PruneLowMagnitude,
)

from robust_sparse_tf.errors import InputError


class MaskedLayer(PruneLowMagnitude):
    """tfmot's pruning wrapper without side effects: a forward pass changes no variable.

    tfmot's own `call` advances its schedule and assigns the masked kernel at every forward, which
    attacks run many times a step. Here the kernel is stored already masked, so that `call` is the
    layer's; masks are changed by `Pruner.prune` alone. `strip_pruning` works as on tfmot's.
    """

    def call(self, inputs: tf.Tensor, training: Any = None, **kwargs: Any) -> tf.Tensor:
        """The wrapped layer's output; shapes and dtypes are the layer's."""
        if "training" in inspect.signature(self.layer.call).parameters:
            kwargs["training"] = training
        return self.layer(inputs, **kwargs)


class MaskedWeight(NamedTuple):
    """A prunable weight and its mask, of equal shape; the mask holds ones and zeros."""

    name: str
    weight: tf.Variable
    mask: tf.Variable


def wrap(model: keras.Model) -> keras.Model:
    """Wraps each layer that tfmot can prune; all masks are one.

    The layers themselves are taken over, not copied: the given model shares its weights.

    Raises:
        InputError: for anything but a built Sequential or functional tf_keras model, for a model
            that is wrapped already, and for one without prunable weights.
    """
    require_tf_keras(model)
    if any(True for _ in masked_weights(model)):
        raise InputError(f"model {model.name}: is sparse already; strip() it first")

    if not model.built:
        raise InputError(f"model {model.name}: must be built; begin it with an Input layer")

    def wrap_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=wrap_layer)
        if _is_prunable(layer):
            return MaskedLayer(layer)
        return layer

    wrapped = keras.models.clone_model(model, clone_function=wrap_layer)
    if not any(True for _ in masked_weights(wrapped)):
        raise InputError(f"model {model.name}: has no weights that can be pruned")
    return wrapped


def strip(model: keras.Model) -> keras.Model:
    """The ordinary tf_keras model inside, with its zeros in place; it shares the weights."""
    network = getattr(model, "network", model)
    return prune.strip_pruning(network)


def masked_weights(model: keras.Model) -> Iterator[MaskedWeight]:
    """The prunable weights of a wrapped model with their masks, in the order of its layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from masked_weights(layer)
        elif isinstance(layer, PruneLowMagnitude):
            for weight, mask, _ in layer.pruning_vars:
                yield MaskedWeight(layer.layer.name, weight, mask)


def require_tf_keras(model: Any) -> None:
    """Raises InputError unless given a Sequential or functional tf_keras model."""
    if not isinstance(model, keras.Model):
        found = f"{type(model).__module__}.{type(model).__name__}"
        raise InputError(
            f"model of type {found}: must be a tf_keras model (import tf_keras, not keras or "
            "tf.keras, which are Keras 3)"
        )
    if not (isinstance(model, keras.Sequential) or model._is_graph_network):
        raise InputError(f"model {model.name}: must be Sequential or functional, not subclassed")


def _is_prunable(layer: keras.layers.Layer) -> bool:
    # tfmot lists layers without prunable weights, DepthwiseConv2D among them, as supported.
    registry = prune_registry.PruneRegistry
    return registry.supports(layer) and bool(registry._LAYERS_WEIGHTS_MAP.get(type(layer), True))
