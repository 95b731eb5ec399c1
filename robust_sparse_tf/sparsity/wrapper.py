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

# Most specific first: a separable or transposed convolution is a convolution, too.
_WEIGHTS = (
    (
        (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
        ("depthwise_kernel", "pointwise_kernel"),
    ),
    ((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), ("depthwise_kernel",)),
    (
        (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
        ("kernel",),
    ),
    (keras.layers.Embedding, ("embeddings",)),
)


@keras.saving.register_keras_serializable("robust_sparse_tf")
class MaskedLayer(PruneLowMagnitude):
    """tfmot's pruning wrapper without side effects: a forward pass changes no variable.

    tfmot's own `call` advances its schedule and assigns the masked kernel at every forward, which
    attacks run many times a step. Here the kernel is stored already masked, so that `call` is the
    layer's; masks are changed by the model's step alone. `strip_pruning` works as on tfmot's.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        names = _own_attributes(layer)
        if names:
            # tfmot's registry matches exact classes; this is its way to add others.
            layer.get_prunable_weights = lambda: [getattr(layer, name) for name in names]
        super().__init__(layer, **kwargs)

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
    layer: keras.layers.Layer
    attribute: str

    @property
    def size(self) -> int:
        """Number of weights, pruned ones included."""
        return self.mask.shape.num_elements()

    def to_matrix(self, value: tf.Tensor) -> tf.Tensor:
        """A tensor of the weight's shape as [inputs, outputs]; sides of kernels count as inputs."""
        shape = self.mask.shape
        if isinstance(self.layer, keras.layers.Conv2DTranspose):
            value = tf.transpose(value, [0, 1, 3, 2])
        if self.attribute == "depthwise_kernel":
            return tf.reshape(value, [shape[:-2].num_elements(), -1])
        return tf.reshape(value, [-1, value.shape[-1]])

    def from_matrix(self, matrix: tf.Tensor) -> tf.Tensor:
        """The inverse of `to_matrix`."""
        shape = self.mask.shape
        if isinstance(self.layer, keras.layers.Conv2DTranspose):
            turned = [shape[0], shape[1], shape[3], shape[2]]
            return tf.transpose(tf.reshape(matrix, turned), [0, 1, 3, 2])
        return tf.reshape(matrix, shape)


def wrap(model: keras.Model) -> keras.Model:
    """Wraps each layer that can be pruned; all masks are one, or tfmot's where it wrapped a layer.

    The layers themselves are taken over, not copied: the given model shares its weights.

    Raises:
        InputError: for anything but a built Sequential or functional tf_keras model, for a model
            that is sparse already, and for one without prunable weights.
    """
    require_tf_keras(model)
    if any(isinstance(layer, MaskedLayer) for layer in leaves(model)):
        raise InputError(f"model {model.name}: is sparse already; strip() it first")
    if not model.built:
        raise InputError(f"model {model.name}: must be built; begin it with an Input layer")

    def wrap_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=wrap_layer)
        if isinstance(layer, PruneLowMagnitude):
            return MaskedLayer(layer.layer)
        return MaskedLayer(layer) if _is_prunable(layer) else layer

    wrapped = keras.models.clone_model(model, clone_function=wrap_layer)
    if not any(True for _ in masked_weights(wrapped)):
        raise InputError(f"model {model.name}: has no weights that can be pruned")
    taken = {id(entry.weight): entry.mask for entry in masked_weights(model)}
    for entry in masked_weights(wrapped):
        if id(entry.weight) in taken:
            entry.mask.assign(taken[id(entry.weight)])
            entry.weight.assign(entry.weight * entry.mask)
    return wrapped


def strip(model: keras.Model) -> keras.Model:
    """The ordinary tf_keras model inside, with its zeros in place; it shares the weights."""
    network = getattr(model, "network", model)
    return prune.strip_pruning(network)


def masked_weights(model: keras.Model) -> Iterator[MaskedWeight]:
    """The prunable weights of a wrapped model with their masks, in the order of its layers.

    A weight is named after its layer, and after itself where its layer has several.
    """
    for layer in leaves(model):
        if isinstance(layer, PruneLowMagnitude):
            several = len(layer.pruning_vars) > 1
            for number, (weight, mask, _) in enumerate(layer.pruning_vars):
                attribute = _attribute(layer.layer, number)
                name = f"{layer.layer.name}/{attribute}" if several else layer.layer.name
                yield MaskedWeight(name, weight, mask, layer.layer, attribute)


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, those of nested models in the place of the models; each one once."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def dense_layers(model: keras.Model) -> list[str]:
    """Names of the layers whose weights have no mask: what `sparsify` leaves dense."""
    return [
        layer.name
        for layer in leaves(model)
        if layer.trainable_weights and not isinstance(layer, PruneLowMagnitude)
    ]


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


def _own_attributes(layer: keras.layers.Layer) -> tuple[str, ...]:
    """The weights of a layer that we prune, subclasses of the layers in the table included."""
    for classes, names in _WEIGHTS:
        if isinstance(layer, classes):
            return names
    return ()


def _attribute(layer: keras.layers.Layer, number: int) -> str:
    names = _own_attributes(layer)
    return names[number] if names else str(number)


def _is_prunable(layer: keras.layers.Layer) -> bool:
    if _own_attributes(layer) or hasattr(layer, "get_prunable_weights"):
        return True
    # tfmot lists layers without prunable weights as supported, too.
    registry = prune_registry.PruneRegistry
    return registry.supports(layer) and bool(registry._LAYERS_WEIGHTS_MAP.get(type(layer), True))
