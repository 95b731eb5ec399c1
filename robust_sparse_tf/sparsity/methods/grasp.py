"""GraSP: gradient signal preservation."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.saliency import (
    LossSaliency,
    is_half,
    outputs,
    returns_logits,
    task_loss,
)

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper


@dataclasses.dataclass(frozen=True)
class GraSP(LossSaliency):
    """Keeps the weights that preserve the gradient's norm: those with the largest w (H g).

    "Picking Winning Tickets Before Training by Preserving Gradient Flow" (Wang et al., 2020),
    equation 8 and algorithm 1; g is the gradient and H the Hessian of the loss.
    """

    _: dataclasses.KW_ONLY
    temperature: float = option(200.0, "temperature: divides the logits", above=0)

    def batch_scores(
        self, model: keras.Model, batches: list[tuple[tf.Tensor, tf.Tensor]]
    ) -> list[tf.Tensor]:
        """See `LossSaliency.batch_scores`.

        Raises:
            InputError: for networks in half precision.
        """
        if is_half(model):
            raise InputError(
                f"model {model.name}: computes in half precision, in which the second derivatives "
                "of GraSP underflow; must be float32"
            )
        weights = [entry.weight for entry in wrapper.masked_weights(model)]
        mean_loss, divisor = task_loss(model), self.temperature if returns_logits(model) else 1.0
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                losses = [mean_loss(y, outputs(model, x) / divisor) for x, y in batches]
                loss = tf.add_n(losses)
            gradients = [tf.convert_to_tensor(g) for g in inner.gradient(loss, weights)]
            products = [tf.reduce_sum(tf.stop_gradient(g) * g) for g in gradients]
            product = tf.add_n(products)
        hessian_gradients = outer.gradient(product, weights)
        return [w * h for w, h in zip(weights, hessian_gradients, strict=True)]
