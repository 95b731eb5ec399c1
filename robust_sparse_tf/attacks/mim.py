"""MIM, the momentum iterative method."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Logits, Stepwise, draws_option
from robust_sparse_tf.attacks.loop import State, while_standing
from robust_sparse_tf.attacks.losses import cross_entropy, value_and_gradient
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class MIM(Stepwise):
    """Steps along a running sum of gradients that are normalised in l1.

    "Boosting Adversarial Attacks with Momentum" (Dong et al., 2018), algorithm 1.
    """

    decay: float = option(1.0, "momentum: decay factor of the sum of gradients", minimum=0)
    draws: int = draws_option()

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Ascent.ascend`."""

        def step(_: tf.Tensor, state: State) -> tuple[State, None]:
            adversarial, total = state
            _, _, gradient = value_and_gradient(
                cross_entropy, model, adversarial, labels, self.draws
            )
            length = tf.maximum(norms.distance(gradient, "l1"), 1e-12)
            total = self.decay * total + gradient / norms.spread(length, gradient)
            stepped = self.step_along(adversarial, total, self.step_length)
            return (self.project(x, stepped), total), None

        return while_standing(step, (x, tf.zeros_like(x)), self.steps, skip=False)[0]
