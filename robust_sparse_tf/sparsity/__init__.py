"""Sparse models: masks on tfmot's wrapper, and the methods that choose them."""

import tf_keras as keras

from robust_sparse_tf.sparsity.magnitude import LayerRates, Magnitude
from robust_sparse_tf.sparsity.statistics import densities
from robust_sparse_tf.sparsity.updater import Pruner
from robust_sparse_tf.sparsity.wrapper import (
    MaskedLayer,
    MaskedWeight,
    masked_weights,
    require_tf_keras,
    strip,
    wrap,
)


def sparsify(model: keras.Model, method: Pruner | None = None) -> keras.Model:
    """A model with a mask on each prunable weight, pruned by a method where one is given.

    The layers are taken over from the given model, which shares its weights from then on.

    Raises:
        InputError: see `wrap`.
    """
    sparse = wrap(model)
    if method is not None:
        method.prune(sparse)
    return sparse


__all__ = [
    "LayerRates",
    "Magnitude",
    "MaskedLayer",
    "MaskedWeight",
    "Pruner",
    "densities",
    "masked_weights",
    "require_tf_keras",
    "sparsify",
    "strip",
    "wrap",
]
