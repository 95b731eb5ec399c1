"""SNIP: pruning by connection sensitivity."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.sparsity.methods.saliency import LossSaliency, is_half, outputs, task_loss

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper


@dataclasses.dataclass(frozen=True)
class SNIP(LossSaliency):
    """Keeps the weights with the largest |w dL/dw| at initialisation.

    "SNIP: Single-shot Network Pruning based on Connection Sensitivity" (Lee et al., 2019),
    equations 4 and 5.
    """

    def batch_scores(
        self, model: keras.Model, batches: list[tuple[tf.Tensor, tf.Tensor]]
    ) -> list[tf.Tensor]:
        weights = [entry.weight for entry in wrapper.masked_weights(model)]
        mean_loss = task_loss(model)
        with tf.GradientTape() as tape:
            loss = tf.add_n([mean_loss(y, outputs(model, x)) for x, y in batches])
            if is_half(model):  # small gradients would underflow
                loss *= 1024.0
        gradients = tape.gradient(loss, weights)
        return [
            tf.abs(w * tf.convert_to_tensor(g)) for w, g in zip(weights, gradients, strict=True)
        ]
