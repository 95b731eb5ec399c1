"""The one door to tensorflow-model-optimization's pruning wrapper and its private names."""

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
"""Layers by a pattern of their names (`conv_*`), by several, or by a function of a layer."""

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

# Their kernels end in [outputs, inputs].
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@keras.saving.register_keras_serializable("robust_sparse_tf")
class MaskedLayer(PruneLowMagnitude):
    """tfmot's pruning wrapper without side effects: a forward pass changes no variable.

    tfmot's own `call` advances its schedule and assigns the masked kernel at every forward, which
    attacks run many times a step. Here the kernel is stored already masked, so that `call` is the
    layer's; masks are changed by the model's step alone. `strip_pruning` works as on tfmot's.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        require("layer", layer, keras.layers.Layer)
        if isinstance(layer, keras.Model):
            raise InputError(f"layer={shown(layer)}: must be one layer, not a model")
        names = _own_attributes(layer)
        if names:
            # tfmot's registry matches exact classes; this is its way to add others.
            layer.get_prunable_weights = lambda: [getattr(layer, name) for name in names]
        # Inputs are the layer's to cast; cast before, they would lose digits and their Keras mask.
        super().__init__(layer, **{**kwargs, "dtype": layer.dtype_policy, "autocast": False})
        self._name = layer.name  # outputs, and losses by them, keep their names
        self._call_spec = layer._call_spec  # Keras gives it the arguments that the layer takes
        self.supports_masking = layer.supports_masking

    def __getattr__(self, name: str) -> Any:
        """What the wrapper lacks is the layer's: `kernel`, `units`, `states`, `reset_states`."""
        if name.startswith("_") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)

    def add_weight(self, name: str | None = None, *args: Any, **kwargs: Any) -> tf.Variable:
        """As of any layer; tfmot's several masks get different names, without which .h5 fails."""
        taken = {variable.name.split("/")[-1] for variable in self._non_trainable_weights}
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        free = next(free for free in names if f"{free}:0" not in taken)
        return super().add_weight(free, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Makes the masks, which the weights' own variables carry from then on."""
        attention = isinstance(self.layer, keras.layers.MultiHeadAttention)
        if attention and not self.layer.built:  # makes them when called, not when built
            shapes = (self.layer._query_shape, self.layer._value_shape, self.layer._key_shape)
            self.layer(*[keras.Input(batch_size=shape[0], shape=shape[1:]) for shape in shapes])
        super().build(input_shape)
        for weight, mask, _ in self.pruning_vars:
            hold(weight, mask)

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The wrapped layer's output; arguments, shapes and dtypes are the layer's."""
        named = dict(zip(self._call_spec.arg_names[1:], args, strict=False))
        return self.layer(inputs, **named, **kwargs)

    def set_weights(self, weights: Any) -> None:
        """As of the layer; what is put in is stored masked."""
        self.layer.set_weights(weights)
        for weight, mask, _ in self.pruning_vars:
            store(weight, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The wrapped layer's Keras mask."""
        return self.layer.compute_mask(inputs, mask)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedLayer":
        """As tfmot's; older formats find a layer by its class name, without its package."""
        layer = config["layer"]
        name = layer.get("registered_name") or layer["class_name"]
        return super().from_config({**config, "layer": {**layer, "class_name": name}})


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
    """Wraps each layer that can be pruned; all masks are one, or tfmot's where it wrapped a layer.

    The layers themselves are taken over, not copied: the given model shares its weights. Frozen
    layers (trainable=False) cannot be pruned, but keep the masks that tfmot gave them.

    Args:
        model: built Sequential or functional tf_keras model.
        layers: which of its layers to wrap; None for all that can be pruned.
        skip: which of those to leave out.

    Raises:
        InputError: for anything but a built Sequential or functional tf_keras model, for a model
            that is sparse already, for one without weights that can be pruned, and for a pattern
            that matches no layer with such weights.
    """
    require_tf_keras(model)
    if any(isinstance(layer, MaskedLayer) for layer in leaves(model)):
        raise InputError(f"model {model.name}: is sparse already; strip() it first")
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
        wrapped._trainable = model.trainable  # without telling its layers, as the setter does
        wrapped._set_dtype_policy(model.dtype_policy)
        wrapped._callable_losses.extend(model._callable_losses)  # of `add_loss`, on its weights
        return wrapped

    wrapped = wrap_model(model)
    if not any(True for _ in masked_weights(wrapped)):
        raise InputError(
            f"model {model.name}: has no weights that can be pruned, or they are skipped or frozen"
        )
    taken = {id(entry.weight): entry.mask for entry in masked_weights(model)}
    for entry in masked_weights(wrapped):
        if id(entry.weight) in taken:
            entry.mask.assign(taken[id(entry.weight)])
    store_masked(wrapped)
    return wrapped


def strip(model: keras.Model) -> keras.Model:
    """The ordinary tf_keras model inside, with its zeros in place; it shares the weights.

    As the weights are the same variables, they carry their masks on: the stripped network stays
    sparse when it is trained, and training it leaves the given one sparse. To train it densely,
    save and load it, or give its weights to a `keras.models.clone_model` of it.
    """
    network = network_of(model)
    require_tf_keras(network)
    store_masked(network)
    return prune.strip_pruning(network)


def masked_weights(model: keras.Model) -> Iterator[MaskedWeight]:
    """The prunable weights of a wrapped model with their masks, in the order of its layers.

    A weight is named after its layer, and after itself where its layer has several; layers of equal
    names, in different nested models, are numbered. A weight that several layers share counts once.
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


def require_masks(model: keras.Model) -> list[MaskedWeight]:
    """The `masked_weights`; raises InputError where there are none."""
    found = list(masked_weights(model))
    if not found:
        raise InputError(f"model {model.name}: has no masks; sparsify() it first")
    return found


def store_masked(model: keras.Model) -> None:
    """Sets the weights that a wrapped model's masks prune to zero.

    Masks are ones and zeros again where they were averaged, along with the weights, say: what any
    of them kept is kept, which a RunWarning says.
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
            f"model {model.name}: masks that are not zeros and ones ({', '.join(averaged)}) keep "
            "all that is not zero; the average of several networks is as dense as all together",
            RunWarning,
            stacklevel=3,
        )


def silence_tfmot(model: keras.Model) -> bool:
    """Keeps tfmot's own wrappers from changing masks by their schedule; weights carry the masks.

    Returns:
        Whether there were any; a training step that was traced before must be traced again.
    """
    found = False
    for layer in leaves(model):
        if isinstance(layer, PruneLowMagnitude) and not isinstance(layer, MaskedLayer):
            found = True
            for weight, mask, _ in layer.pruning_vars:
                hold(weight, mask)
            layer.pruning_obj._pruning_schedule = lambda step: (tf.constant(False), 0.0)
            layer.pruning_step.assign(0)  # what its callback does; it refuses to train without
    return found


def prunable_weights(model: keras.Model) -> list[MaskedWeight]:
    """Those of `masked_weights` whose masks may change: a frozen layer's stay as they are."""
    return [entry for entry in masked_weights(model) if entry.layer.trainable]


def models_in(model: keras.Model) -> Iterator[keras.Model]:
    """A model and all models nested in it."""
    require_model(model)
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from models_in(layer)


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, those of nested models in the place of the models; each one once."""
    require_model(model)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def tell_dense(model: keras.Model) -> None:
    """Warns of the layers of a wrapped model that hold kernels which nothing can prune."""
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
    """Names of the layers whose weights have no mask: what `sparsify` leaves dense."""
    return [
        layer.name
        for layer in leaves(model)
        if any(weight.trainable for weight in layer.weights)
        and not isinstance(layer, PruneLowMagnitude)
    ]


def _own_attributes(layer: keras.layers.Layer) -> tuple[str, ...]:
    """The weights of a layer that we prune, subclasses of the layers in the table included."""
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
    """The layers that an argument of `wrap` chooses."""
    if callable(choice):
        try:
            return [layer for layer in layers if choice(layer)]
        except Exception as error:  # of any kind, as the function is the user's
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
    # tfmot lists layers without prunable weights as supported, too.
    registry = prune_registry.PruneRegistry
    return registry.supports(layer) and bool(registry._LAYERS_WEIGHTS_MAP.get(type(layer), True))
