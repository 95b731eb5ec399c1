"""tensorflow-model-optimization's pruning wrapper; the only module that uses its private names."""

import fnmatch
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.sparsity.keras import prune, prune_registry
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import (
    PruneLowMagnitude,
)

from robust_sparse_tf.errors import InputError, RunWarning, reason
from robust_sparse_tf.models.network import network_of, require_model, require_tf_keras
from robust_sparse_tf.options import require, shown
from robust_sparse_tf.sparsity.constraint import hold, store

Choice: TypeAlias = str | Sequence[str] | Callable[[keras.layers.Layer], bool]
"""Layers, by one or more patterns of names (`conv_*`), or by a function of a layer."""

# Most specific first, as separable and transposed convolutions are convolutions, too.
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

# The last axes of their kernels are [outputs, inputs].
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@keras.saving.register_keras_serializable("robust_sparse_tf")
class MaskedLayer(PruneLowMagnitude):
    """tfmot's pruning wrapper without side effects: a forward pass does not change variables.

    tfmot's own `call` advances its schedule and assigns the masked kernel in every forward pass, of
    which attacks run many per step. Here the stored kernel is already masked, and `call` is that of
    the layer; only the model's step changes masks. `strip_pruning` works as usual.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        require("layer", layer, keras.layers.Layer)
        if isinstance(layer, keras.Model):
            raise InputError(f"layer={shown(layer)}: must be one layer, not a model")
        names = _own_attributes(layer)
        if names:
            # tfmot's registry matches exact classes; this method adds others.
            layer.get_prunable_weights = lambda: [getattr(layer, name) for name in names]
        # The layer casts inputs itself; casting them before would lose digits and the Keras mask.
        super().__init__(layer, **{**kwargs, "dtype": layer.dtype_policy, "autocast": False})
        self._name = layer.name  # keeps the names of outputs, which losses may be given by
        self._call_spec = layer._call_spec  # so that Keras passes the layer's arguments
        self.supports_masking = layer.supports_masking

    def __getattr__(self, name: str) -> Any:
        """Delegates to the layer: `kernel`, `units`, `states`, `reset_states`."""
        if name.startswith("_") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)

    def add_weight(self, name: str | None = None, *args: Any, **kwargs: Any) -> tf.Variable:
        """See `tf_keras.layers.Layer.add_weight`; gives masks different names, which HDF5 needs."""
        taken = {variable.name.split("/")[-1] for variable in self._non_trainable_weights}
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        free = next(free for free in names if f"{free}:0" not in taken)
        return super().add_weight(free, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Creates the masks, and attaches them to the weights' variables."""
        attention = isinstance(self.layer, keras.layers.MultiHeadAttention)
        if attention and not self.layer.built:  # creates them when called, not when built
            shapes = (self.layer._query_shape, self.layer._value_shape, self.layer._key_shape)
            self.layer(*[keras.Input(batch_size=shape[0], shape=shape[1:]) for shape in shapes])
        super().build(input_shape)
        for weight, mask, _ in self.pruning_vars:
            hold(weight, mask)

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the wrapped layer's output; arguments, shapes and dtypes are the layer's."""
        named = dict(zip(self._call_spec.arg_names[1:], args, strict=False))
        return self.layer(inputs, **named, **kwargs)

    def set_weights(self, weights: Any) -> None:
        """Sets the weights of the layer, masked."""
        self.layer.set_weights(weights)
        for weight, mask, _ in self.pruning_vars:
            store(weight, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The wrapped layer's Keras mask."""
        return self.layer.compute_mask(inputs, mask)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedLayer":
        """tfmot's, plus the class name without package, which older formats use."""
        layer = config["layer"]
        name = layer.get("registered_name") or layer["class_name"]
        return super().from_config({**config, "layer": {**layer, "class_name": name}})


class MaskedWeight(NamedTuple):
    """A prunable weight and its mask of the same shape, of ones and zeros."""

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
        """Reshapes a tensor like the weight to [inputs, outputs]; positions count as inputs."""
        shape = self.mask.shape
        if isinstance(self.layer, _TRANSPOSED):
            value = tf.experimental.numpy.swapaxes(value, -1, -2)
        if self.attribute == "depthwise_kernel":
            return tf.reshape(value, [shape[:-2].num_elements(), -1])
        return tf.reshape(value, [-1, value.shape[-1]])

    def from_matrix(self, matrix: tf.Tensor) -> tf.Tensor:
        """The inverse of `to_matrix`."""
        shape = self.mask.shape
        if isinstance(self.layer, _TRANSPOSED):
            turned = tf.reshape(matrix, [*shape[:-2], shape[-1], shape[-2]])
            return tf.experimental.numpy.swapaxes(turned, -1, -2)
        return tf.reshape(matrix, shape)


def wrap(
    model: keras.Model, layers: Choice | None = None, skip: Choice | None = None
) -> keras.Model:
    """Wraps each layer that can be pruned; masks are ones, or those of tfmot's wrappers.

    Layers are taken over, not copied: both models share their weights. Frozen layers
    (trainable=False) cannot be pruned, but keep masks that tfmot gave them.

    Args:
        model: built Sequential or functional tf_keras model.
        layers: the layers to wrap; None for all that can be pruned.
        skip: layers to leave out.

    Raises:
        InputError: for anything except a built Sequential or functional tf_keras model, for a model
            that is already sparse or has no weights that can be pruned, or for a pattern that
            matches no layer with such weights.
    """
    require_tf_keras(model)
    if any(isinstance(layer, MaskedLayer) for layer in leaves(model)):
        raise InputError(f"model {model.name}: is already sparse; strip() it first")
    if not model.built:
        raise InputError(f"model {model.name}: must be built; begin it with an Input layer")

    prunable = [_inner(layer) for layer in leaves(model) if _is_prunable(layer)]
    taken_layers = prunable if layers is None else _chosen(prunable, "layers", layers)
    left = [] if skip is None else _chosen(prunable, "skip", skip)
    wanted = {id(layer) for layer in taken_layers} - {id(layer) for layer in left}
    made: dict[int, MaskedLayer] = {}  # a layer that two models share has one mask

    def wrap_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return wrap_model(layer)
        inner = _inner(layer)
        if id(inner) not in wanted:
            return inner
        return made.setdefault(id(inner), made.get(id(inner)) or MaskedLayer(inner))

    def wrap_model(model: keras.Model) -> keras.Model:
        require_tf_keras(model)
        wrapped = keras.models.clone_model(model, clone_function=wrap_layer)
        wrapped._trainable = model.trainable  # the setter would also change its layers
        wrapped._set_dtype_policy(model.dtype_policy)
        wrapped._callable_losses.extend(model._callable_losses)  # from `add_loss`, on its weights
        return wrapped

    wrapped = wrap_model(model)
    if not any(True for _ in masked_weights(wrapped)):
        raise InputError(
            f"model {model.name}: has no weights that can be pruned, or all are skipped or frozen"
        )
    taken = {id(entry.weight): entry.mask for entry in masked_weights(model)}
    for entry in masked_weights(wrapped):
        if id(entry.weight) in taken:
            entry.mask.assign(taken[id(entry.weight)])
    store_masked(wrapped)
    return wrapped


def strip(model: keras.Model) -> keras.Model:
    """Returns the ordinary tf_keras model inside, with zeros in place; it shares the weights.

    The weights are the same variables, which keep their masks: both networks stay sparse when
    either is trained. To train it densely, save and load it, or set its weights in a
    `keras.models.clone_model` of it.
    """
    network = network_of(model)
    require_tf_keras(network)
    store_masked(network)
    return prune.strip_pruning(network)


def masked_weights(model: keras.Model) -> Iterator[MaskedWeight]:
    """The prunable weights of a wrapped model with their masks, in the order of the layers.

    A weight has the name of its layer, plus its own if the layer has several. Layers of equal
    names, in different nested models, are numbered. A weight shared by several layers counts once.
    """
    seen: dict[str, int] = {}
    known: set[int] = set()
    for layer in dict.fromkeys(leaves(model)):
        if isinstance(layer, PruneLowMagnitude):
            several = len(layer.pruning_vars) > 1
            for number, (weight, mask, _) in enumerate(layer.pruning_vars):
                if id(weight) in known:
                    continue
                known.add(id(weight))
                attribute = _attribute(layer.layer, number)
                name = f"{layer.layer.name}/{attribute}" if several else layer.layer.name
                seen[name] = seen.get(name, 0) + 1
                if seen[name] > 1:
                    name += f"_{seen[name]}"
                yield MaskedWeight(name, weight, mask, layer.layer, attribute)


def is_kernel(variable: tf.Variable) -> bool:
    """Whether a variable is the kernel of a convolution or dense layer, by its name and rank."""
    return variable.shape.rank > 1 and "kernel" in variable.name.split("/")[-1]


def require_masks(model: keras.Model) -> list[MaskedWeight]:
    """The `masked_weights`; raises InputError if there are none."""
    found = list(masked_weights(model))
    if not found:
        raise InputError(f"model {model.name}: has no masks; sparsify() it first")
    return found


def store_masked(model: keras.Model) -> None:
    """Sets the pruned weights of a wrapped model to zero.

    If masks were averaged together with the weights, they are set to ones and zeros again: weights
    that any of the networks kept are kept, and a RunWarning says so.
    """
    averaged = []
    for entry in masked_weights(model):
        mask = tf.convert_to_tensor(entry.mask)
        kept = tf.cast(mask != 0, mask.dtype)
        if tf.reduce_any(mask != kept):
            averaged.append(entry.name)
            entry.mask.assign(kept)
        entry.weight.assign(entry.weight * entry.mask)
    if averaged:
        warnings.warn(
            f"model {model.name}: masks with other values than 0 and 1 ({', '.join(averaged)}) "
            "keep every weight whose mask is not 0; an average of several networks is as dense as "
            "their union",
            RunWarning,
            stacklevel=3,
        )


def silence_tfmot(model: keras.Model) -> bool:
    """Stops tfmot's own wrappers from changing masks by their schedule; weights carry the masks.

    Returns:
        Whether there were any; a training step that was traced before must then be retraced.
    """
    found = False
    for layer in leaves(model):
        if isinstance(layer, PruneLowMagnitude) and not isinstance(layer, MaskedLayer):
            found = True
            for weight, mask, _ in layer.pruning_vars:
                hold(weight, mask)
            layer.pruning_obj._pruning_schedule = lambda step: (tf.constant(False), 0.0)
            layer.pruning_step.assign(0)  # as its callback does; it refuses to train without
    return found


def prunable_weights(model: keras.Model) -> list[MaskedWeight]:
    """The `masked_weights` whose masks may change: those of layers that are not frozen."""
    return [entry for entry in masked_weights(model) if entry.layer.trainable]


def models_in(model: keras.Model) -> Iterator[keras.Model]:
    """The model and all models nested in it."""
    require_model(model)
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from models_in(layer)


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, with nested models replaced by their layers; each one once."""
    require_model(model)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def tell_dense(model: keras.Model) -> None:
    """Warns of the layers of a wrapped model with kernels that cannot be pruned."""
    kept = []
    for layer in leaves(model):
        kernels = any(weight.trainable and weight.shape.rank > 1 for weight in layer.weights)
        if kernels and not _is_prunable(layer):
            frozen = "" if layer.trainable else ", frozen"
            kept.append(f"{layer.name} ({type(layer).__name__}{frozen})")
    if kept:
        warnings.warn(
            f"model {model.name}: layers that stay dense, as they cannot be pruned: "
            + ", ".join(kept),
            RunWarning,
            stacklevel=3,
        )


def dense_layers(model: keras.Model) -> list[str]:
    """Names of the layers with weights that have no mask: those that `sparsify` leaves dense."""
    return [
        layer.name
        for layer in leaves(model)
        if any(weight.trainable for weight in layer.weights)
        and not isinstance(layer, PruneLowMagnitude)
    ]


def _own_attributes(layer: keras.layers.Layer) -> tuple[str, ...]:
    """The weights of a layer that can be pruned; includes subclasses of layers in the table."""
    for classes, names in _WEIGHTS:
        if isinstance(layer, classes):
            return names
    return ()


def _attribute(layer: keras.layers.Layer, number: int) -> str:
    names = _own_attributes(layer)
    return names[number] if names else str(number)


def _inner(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, PruneLowMagnitude) else layer


def _chosen(
    layers: list[keras.layers.Layer], argument: str, choice: Choice
) -> list[keras.layers.Layer]:
    """The layers that an argument of `wrap` selects."""
    if callable(choice):
        try:
            return [layer for layer in layers if choice(layer)]
        except Exception as error:  # any exception, as the function is the user's
            raise InputError(
                f"{argument}={shown(choice)}: fails as a function of a layer ({reason(error)})"
            ) from error
    patterns = [choice] if isinstance(choice, str) else choice
    if not isinstance(patterns, Sequence) or not all(isinstance(p, str) for p in patterns):
        raise InputError(
            f"{argument}={shown(choice)}: must be a pattern of names, a list of them or a function "
            "of a layer"
        )
    names = [layer.name for layer in layers]
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"{argument}={pattern}: matches no layer that can be pruned; must match one of "
                + ", ".join(names)
            )
    return [layer for layer in layers if any(fnmatch.fnmatchcase(layer.name, p) for p in patterns)]


def _is_prunable(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, PruneLowMagnitude):
        return True
    if not layer.trainable:
        return False
    if _own_attributes(layer) or hasattr(layer, "get_prunable_weights"):
        return True
    # tfmot also lists layers without prunable weights as supported.
    registry = prune_registry.PruneRegistry
    return registry.supports(layer) and bool(registry._LAYERS_WEIGHTS_MAP.get(type(layer), True))
