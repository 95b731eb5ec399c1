"""Training on linear and interval bounds."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.training.objectives.certified import Certified

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.bounds import crown, interval_bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrownIBP(Certified):
    """`IBP` whose bounds begin as linear ones, which are tighter, and become intervals; no attack.

    Margins are b times linear bounds plus (1 - b) times interval bounds, and b falls from 1 to 0
    while the radius grows: "Towards Stable and Efficient Training of Verifiably Robust Neural
    Networks" (Zhang et al., 2020, equation 8, https://arxiv.org/abs/1906.06316). The linear bounds
    are a backward pass through interval bounds, which costs as many passes as there are classes
    until the ramp is over.
    """

    def margins(
        self, network: keras.Model, x: tf.Tensor, y: tf.Tensor, progress: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Certified.margins`."""
        ball = self.ball(progress)
        steps = interval_bounds.training_steps(network, x, ball)
        interval = interval_bounds.margins(steps, y, ball)

        def mixed() -> tf.Tensor:
            linear = crown.margins(steps, y, ball, [crown.adaptive])
            both = (1 - progress) * linear + progress * interval
            return tf.where(tf.math.is_inf(interval), interval, both)

        return steps[-1].output.clean, tf.cond(progress < 1, mixed, lambda: interval)
