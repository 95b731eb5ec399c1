"""SynFlow: pruning at initialisation without data."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.batches import Batches, check_batches
from robust_sparse_tf.sparsity.methods.saliency import Saliency, unchanged

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper


@dataclasses.dataclass(frozen=True)
class SynFlow(Saliency):
    """Prunes by synaptic flow in many small steps.

    "Pruning neural networks without any data by iteratively conserving synaptic flow" (Tanaka et
    al., 2020), algorithm 1: the score is |w| dR/d|w|, with R the sum of outputs of the network with
    absolute weights for an input of ones; after step k of n, density^(k/n) of the weights are kept.
    """

    _: dataclasses.KW_ONLY
    prune_steps: int = option(
        100, "number of pruning steps before training", unit="steps", minimum=1
    )

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        for iteration in range(1, self.prune_steps + 1):
            removed = 1 - self.density ** (iteration / self.prune_steps)
            self.prune(model, progress=removed / (1 - self.density) if removed else 1.0)

    def scores(self, model: keras.Model, data: Batches | None = None) -> list[tf.Tensor]:
        check_batches(data)
        weights = [entry.weight for entry in wrapper.require_masks(model)]
        ones = tf.ones([1, *model.input_shape[1:]])
        with unchanged(model), tf.GradientTape() as tape:
            for variable in model.variables:
                if variable.dtype.is_floating:
                    variable.assign(tf.abs(variable))
            flow = tf.reduce_sum(model(ones, training=False))
        gradients = tape.gradient(flow, weights)
        return [
            tf.abs(w * tf.convert_to_tensor(g)) for w, g in zip(weights, gradients, strict=True)
        ]
