"""MART: misclassification-aware adversarial training."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks.losses import kl_divergence
from robust_sparse_tf.options import option
from robust_sparse_tf.training.objectives.base import Joint

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mart(Joint):
    """BCE(p') + beta KL(p || p') (1 - p_y), of clean p and adversarial probabilities p'.

    BCE(p') is -log p'_y - log(1 - max p'_k over k != y). "Improving Adversarial Robustness Requires
    Revisiting Misclassified Examples" (Wang et al., 2020), equation 11. Label smoothing acts on the
    first term of BCE.
    """

    beta: float = option(5.0, "weight of the divergence of adversarial predictions", minimum=0)

    def losses(
        self, labels: tf.Tensor, clean_logits: tf.Tensor, adversarial_logits: tf.Tensor
    ) -> tf.Tensor:
        """See `Joint.losses`."""
        logs = tf.nn.log_softmax(adversarial_logits)
        true = tf.one_hot(labels, logs.shape[-1], on_value=True, off_value=False)
        largest = tf.reduce_max(tf.where(true, logs.dtype.min, logs), axis=1)
        # 1 - exp(largest) loses all digits where the largest probability is near 1.
        margin = -tf.math.log(-tf.math.expm1(tf.minimum(largest, -_LEAST)))
        boosted = self.example_losses(labels, adversarial_logits) + margin
        wrong = 1 - tf.reduce_sum(tf.where(true, tf.nn.softmax(clean_logits), 0.0), axis=1)
        return boosted + self.beta * wrong * kl_divergence(clean_logits, adversarial_logits)


# 1 - exp(-_LEAST) is the smallest distance of a probability from 1, so that losses stay finite.
_LEAST = 1e-7
