"""Measures of how sparse a model is."""

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity.wrapper import masked_weights


def densities(model: keras.Model) -> tuple[float, dict[str, float]]:
    """The fraction of weights kept: over all prunable weights, and layer by layer.

    A model without masks has density 1 and no layers.
    """
    kept, total, layers = 0, 0, {}
    for name, _, mask in masked_weights(model):
        active, size = int(tf.math.count_nonzero(mask)), mask.shape.num_elements()
        layers[name] = active / size
        kept, total = kept + active, total + size
    return (kept / total if total else 1.0), layers
