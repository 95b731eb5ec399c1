"""Training on interval bounds."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.training.objectives.certified import Certified

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.bounds import interval_bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class IBP(Certified):
    """k CE(clean) + (1 - k) CE(worst logits), the worst by interval bound propagation; no attack.

    "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models"
    (Gowal et al., 2018, equation 12, https://arxiv.org/abs/1810.12715). The last layer and the
    differences of logits are one layer in the bounds. Batch normalization uses the statistics of
    the clean batch for both: "Fast Certified Robust Training with Short Warmup" (Shi et al., 2021,
    section 3.2, https://arxiv.org/abs/2103.17268).
    """

    def margins(
        self, network: keras.Model, x: tf.Tensor, y: tf.Tensor, progress: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Certified.margins`."""
        return interval_bounds.training_margins(network, x, y, self.ball(progress))
