"""Noise on the weights of a network: adds it, takes it away, switches it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import checked
from robust_sparse_tf.training.optimizers import ALPHA

with epy.lazy_imports():
    import tf_keras as keras

    from robust_sparse_tf.models import network
    from robust_sparse_tf.sparsity import wrapper
    from robust_sparse_tf.training import noise_layers

KINDS = ("channel", "layer", "element")
"""What has a factor alpha of its own."""
_ADDED = ("noise", "noise_at_inference", "noise_seed")


def with_noise(
    model: keras.Model, noise: str = "channel", *, at_inference: bool = True, seed: int = 0
) -> keras.Model:
    """Returns a copy of a network with noise on the weights of its convolutions and dense layers.

    The weights are copied; the noise is trained with them, see `WeightNoise`. Call it before
    `sparsify`. Under a distribution strategy call it in the strategy's scope: replicas then draw
    different numbers. No weight decay should reach alpha: with an optimizer that is not from
    `OptimizerOptions`, call `exclude_from_weight_decay(var_names=["noise_alpha"])`.

    Args:
        model: built Sequential or functional tf_keras model without masks.
        noise: one factor alpha per output "channel", per "layer" or per "element".
        at_inference: whether there is noise outside training, too; see `set_noise`.
        seed: seed of all layers' numbers, at least 0.

    Raises:
        InputError: for a model that has masks or noise, or no kernel.
    """
    network.require_tf_keras(model)
    noise = checked("noise", noise, str, choices=KINDS)
    at_inference = checked("at_inference", at_inference, bool)
    seed = checked("seed", seed, int, minimum=0)
    layers = list(wrapper.leaves(model))
    if any(isinstance(layer, wrapper.MaskedLayer) for layer in layers):
        raise InputError(f"model {model.name}: is sparse; add noise before sparsify()")
    if has_noise(model):
        raise InputError(f"model {model.name}: has noise on its weights already")
    chosen = [layer for layer in layers if _takes_noise(layer)]
    if not chosen:
        raise InputError(
            f"model {model.name}: has no kernel that noise can be added to; must have layers of "
            + ", ".join(kind.__name__ for kind in noise_layers.NOISY)
        )
    _tell_without(model, layers, chosen)
    seeds = np.random.SeedSequence(seed).generate_state(len(chosen)) >> 1  # options take 31 bits
    options = {
        id(layer): {"noise": noise, "noise_at_inference": at_inference, "noise_seed": int(own)}
        for layer, own in zip(chosen, seeds, strict=True)
    }

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in options:
            return layer.__class__.from_config(layer.get_config())
        config = layer.get_config() | options[id(layer)]
        return noise_layers.NOISY[type(layer)].from_config(config)

    return _copied(model, changed)


def without_noise(model: keras.Model) -> keras.Model:
    """Returns a copy of a network without noise: an ordinary tf_keras model with its weights.

    Args:
        model: with or without noise. The model inside an `AdversarialModel` is taken, and a sparse
            one is stripped: its zeros stay in place.

    Raises:
        InputError: for anything except a Sequential or functional tf_keras model.
    """
    stripped = wrapper.strip(model)
    plain = {noisy: kind for kind, noisy in noise_layers.NOISY.items()}

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if type(layer) not in plain:
            return layer.__class__.from_config(config)
        kept = {name: value for name, value in config.items() if name not in _ADDED}
        return plain[type(layer)].from_config(kept)

    return _copied(stripped, changed)


def set_noise(model: keras.Model, *, at_inference: bool) -> None:
    """Switches noise outside training on or off, also of a loaded model.

    Functions that were traced before keep what they had; those of `predict` and `evaluate` are
    traced again.

    Raises:
        InputError: for a model without noise on its weights.
    """
    at_inference = checked("at_inference", at_inference, bool)
    if not has_noise(model):
        raise InputError(f"model {model.name}: has no noise on its weights; add it by with_noise()")
    for layer in noise_layers.of_model(model):
        layer.noise_at_inference = at_inference
    for each in {model, network.network_of(model), *wrapper.models_in(network.network_of(model))}:
        each.predict_function = each.test_function = None


def has_noise(model: Any) -> bool:
    """Whether a model has layers with noise on their weights."""
    return isinstance(model, keras.Model) and bool(noise_layers.of_model(model))


def noise_state(model: keras.Model) -> list[np.ndarray]:
    """The state of each layer's generator, in the order of the layers: int64 [3] each."""
    return [layer.generator.state.numpy() for layer in noise_layers.of_model(model)]


def restore_noise(model: keras.Model, state: list[np.ndarray]) -> None:
    """Sets what `noise_state` returned: the same numbers follow."""
    for layer, value in zip(noise_layers.of_model(model), state, strict=True):
        layer.generator.state.assign(value)


@contextlib.contextmanager
def seeded_noise(model: Any, seed: int) -> Iterator[None]:
    """A context in which all numbers follow from a seed; afterwards they continue as before it.

    For evaluations, which can then be repeated, and change nothing in a training around them.
    Models without noise, and functions, are left alone.
    """
    if not has_noise(model):
        yield
        return
    before = noise_state(model)
    reset_noise(model, seed)
    try:
        yield
    finally:
        restore_noise(model, before)


def reset_noise(model: keras.Model, seed: int) -> None:
    """Lets the numbers of all layers follow from a seed, so that an evaluation can be repeated."""
    seed = checked("seed", seed, int)
    for layer in noise_layers.of_model(model):
        layer.reset_noise(seed)


def _takes_noise(layer: keras.layers.Layer) -> bool:
    return type(layer) in noise_layers.NOISY and getattr(layer, "padding", "") != "causal"


def _tell_without(
    model: keras.Model, layers: list[keras.layers.Layer], chosen: list[keras.layers.Layer]
) -> None:
    """Warns of other layers with kernels."""
    left = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in layers
        if layer not in chosen and any(weight.shape.rank > 1 for weight in layer.trainable_weights)
    ]
    if left:
        warnings.warn(
            f"model {model.name}: layers that stay without noise: {', '.join(left)}",
            RunWarning,
            stacklevel=3,
        )


def _copied(model: keras.Model, changed: Any) -> keras.Model:
    """A copy of a model whose layers are changed, with the weights of its own."""
    made: dict[int, keras.layers.Layer] = {}  # layers that are called twice have one copy

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in made:
            if isinstance(layer, keras.Model):
                made[id(layer)] = keras.models.clone_model(layer, clone_function=copy)
            else:
                made[id(layer)] = changed(layer)
            made[id(layer)].trainable = layer.trainable
        return made[id(layer)]

    clone = keras.models.clone_model(model, clone_function=copy)
    clone._set_dtype_policy(model.dtype_policy)
    for old in wrapper.leaves(model):
        new = made.get(id(old))  # Keras copies input layers itself
        for source, target in zip(_without_alpha(old), _without_alpha(new), strict=True):
            target.assign(source)
    return clone


def _without_alpha(layer: keras.layers.Layer | None) -> list[Any]:
    return [variable for variable in layer.weights if ALPHA not in variable.name] if layer else []
