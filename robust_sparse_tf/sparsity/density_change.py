"""Changes the density of a sparse model between two trainings."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.counting import densities
from robust_sparse_tf.sparsity.methods.base import Change, LayerState, Targeted, layer_states
from robust_sparse_tf.sparsity.methods.dynamic import Dynamic
from robust_sparse_tf.sparsity.methods.saliency import cross_entropy, outputs, unchanged
from robust_sparse_tf.sparsity.stepper import change_weight, find_sparse_model
from robust_sparse_tf.sparsity.structure import Structure, Weights
from robust_sparse_tf.sparsity.wrapper import masked_weights


def check_change(model: keras.Model, density: float) -> None:
    """Raises InputError if a model's method cannot reach a density by `change_density`."""
    sparse = _sparse(model)
    method = type(sparse.method).__name__
    if sparse.method is not None and sparse.method.thins:
        raise InputError(f"density={density}: must be left out with {method}, which lowers it")
    now = densities(sparse)[0]
    if density > now and not isinstance(sparse.method, Dynamic):
        raise InputError(
            f"density={density}: must be at most {now:g}, the density there is, as {method} "
            "cannot grow weights"
        )


def change_density(
    model: keras.Model, optimizer: Any, density: float, images: tf.Tensor, labels: tf.Tensor
) -> None:
    """Prunes or grows a model's layers to a density, each in proportion to its active weights.

    Where the density falls, the smallest weights are pruned; where it rises, the weights with the
    best scores of the model's own method grow. Gradients for the scores are those that the method
    remembers, or those of the cross-entropy of one batch. Slots of changed weights are reset.
    Layers that the method keeps dense stay so.

    Args:
        model: from `sparsify`, or containing such a model.
        optimizer: built for the model.
        density: fraction of the prunable weights to keep.
        images: float32 [batch, ...], the batch for gradients.
        labels: int64 [batch].

    Raises:
        InputError: for a density that the method cannot reach, see `check_change`.
    """
    check_change(model, density)
    sparse = _sparse(model)
    method, entries = sparse.method, list(masked_weights(sparse))
    gradients = _gradients(sparse, images, labels) if isinstance(method, Dynamic) else None
    layers = layer_states(sparse, gradients)
    fixed = {}
    structures: list[Structure] = [Weights() for _ in layers]
    if isinstance(method, Targeted):
        fixed = method.fixed_densities([layer.name for layer in layers])
        structures = method.structures(layers)
    counts = _counts(layers, [fixed.get(layer.name) == 1 for layer in layers], density)
    for layer, structure, count in zip(layers, structures, counts, strict=True):
        more = count - int(tf.math.count_nonzero(layer.active))
        scores, grown = tf.abs(layer.weight), tf.abs(layer.weight)
        if more > 0:
            grown = method.grow_scores(layer, sparse.step)
        numbers = tf.constant(max(0, -more)), tf.constant(max(0, more))
        change = Change(*structure.swap(layer.active, scores, grown, *numbers))
        values = method.initial(layer, sparse.step) if more > 0 else None
        entry = entries[layer.place]
        change_weight(sparse.distribute_strategy, optimizer, entry, change, values)
        if more > 0:
            seen = sparse.ever_active[layer.place]
            seen.assign(seen | (entry.mask > 0))


def _sparse(model: keras.Model) -> Any:
    sparse = find_sparse_model(model)
    if sparse is None:
        raise InputError(f"model {model.name}: has no masks; sparsify() it first")
    return sparse


def _counts(layers: Sequence[LayerState], dense: Sequence[bool], density: float) -> list[int]:
    """The number of weights of each layer, in proportion to its active ones as far as it has room.

    Args:
        layers: the layers.
        dense: whether each layer stays dense.
        density: of all layers together.
    """
    active = [int(tf.math.count_nonzero(layer.active)) for layer in layers]
    full = list(dense)
    while True:
        left = density * sum(layer.size for layer in layers)
        left -= sum(layer.size for layer, whole in zip(layers, full, strict=True) if whole)
        free = sum(number for number, whole in zip(active, full, strict=True) if not whole)
        factor = max(0.0, left) / free if free else 0.0
        over = [factor * n > layer.size for n, layer in zip(active, layers, strict=True)]
        if not any(more and not whole for more, whole in zip(over, full, strict=True)):
            break
        full = [more or whole for more, whole in zip(over, full, strict=True)]
    return [
        layer.size if whole else max(1, round(factor * number))
        for layer, number, whole in zip(layers, active, full, strict=True)
    ]


def _gradients(sparse: Any, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """The dense gradient of each weight by name, or the method's memory of it."""
    entries = list(masked_weights(sparse))
    if sparse.method.remembers:
        memory = zip(entries, sparse.memory, strict=True)
        return {entry.name: value.read_value() for entry, value in memory}
    with unchanged(sparse), tf.GradientTape() as tape:
        loss = cross_entropy(labels, outputs(sparse, images))
    found = tape.gradient(loss, [entry.weight for entry in entries], unconnected_gradients="zero")
    return {
        entry.name: tf.cast(tf.convert_to_tensor(gradient), tf.float32)
        for entry, gradient in zip(entries, found, strict=True)
    }
