"""Removes what a sparse network does not need: a smaller dense network with the same outputs."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.evaluation.inputs import unwrapped
from robust_sparse_tf.export.compaction import (
    batch_norm,
    branches,
    channels,
    constants,
    graph,
    rebuild,
    stopped,
)
from robust_sparse_tf.export.compaction.result import CompactedLayer, Compaction
from robust_sparse_tf.export.examples import outputs, random_inputs
from robust_sparse_tf.export.plain import plain

_IMAGES = 8  # in the comparison with the given model
_TOLERANCE = 1e-4  # relative, of outputs in float32


def compact(model: keras.Model) -> Compaction:
    """Returns a smaller dense model with the same outputs, up to the rounding of float32.

    Batch normalization is folded into the convolution or dense layer before it. Units without
    inputs, which are constants, are folded into the biases of the layers that read them; units
    that nothing reads are removed; branches that add only constants are cut. Channels that several
    layers share, as in residual networks, are removed if none of these layers needs them. Zero
    padding prevents that a constant other than 0 is folded; a convolution then needs one such
    channel, and a convolution per channel each. The input and the output keep their shapes.

    Args:
        model: Sequential or functional tf_keras model with one input and one output, sparse or not,
            or an `AdversarialModel`; it is not changed. Layers that are not known, are called
            several times or do not compute in float32 or float64 keep all of their channels.

    Returns:
        The model, for inference, in the layers of the given one; see `Compaction`.

    Raises:
        InputError: for any other model, or one whose outputs are not finite.
        TrainingError: if its outputs on random inputs differ from the given model's.
    """
    network = plain(unwrapped(model))
    flat = graph.read(network)
    before = {
        node.name: (node.layer.count_params(), flat.channels(node.outputs[0]))
        for node in flat.nodes
        if node.layer.weights
    }
    while True:
        unfolded = batch_norm.fold(flat)  # again after each cut, which may leave one reader
        values = constants.find(flat)
        kept = channels.keep(flat, values)
        if not branches.cut(flat, values, kept):
            break
    smaller = rebuild.rebuild(flat, values, kept)
    _require_equal(network, smaller)
    names = {layer.name for layer in smaller.layers}
    stops = [(name, reason) for name, reason in unfolded if name in names]
    stops += stopped.reasons(flat, values, kept)
    rows = [_row(smaller, name, *sizes) for name, sizes in before.items()]
    return Compaction(smaller, tuple(rows), tuple(dict.fromkeys(stops)))


def _row(smaller: keras.Model, name: str, weights: int, count: int) -> CompactedLayer:
    found = [layer for layer in smaller.layers if layer.name == name]
    if not found:
        return CompactedLayer(name, weights, 0, count, 0)
    shape = tf.nest.flatten(found[0].get_output_at(0))[0].shape
    after = shape[-1] or 0 if len(shape) > 1 else 0
    return CompactedLayer(name, weights, found[0].count_params(), count, after)


def _require_equal(network: keras.Model, smaller: keras.Model) -> None:
    """Raises TrainingError if outputs on random inputs differ; those of a random network may."""
    inputs = random_inputs(network, network.inputs[0].shape[0] or _IMAGES)
    expected, again, found = (outputs(each, inputs) for each in (network, network, smaller))
    if not np.isfinite(expected).all():
        raise InputError(f"model {network.name}: its outputs are not finite")
    most = _TOLERANCE * max(1.0, np.abs(expected).max(initial=0))
    difference = np.abs(found - expected).max(initial=0)
    if not difference <= most and np.abs(again - expected).max(initial=0) <= most:
        raise TrainingError(
            f"model {network.name}: outputs of the compacted model differ by {difference}"
        )
