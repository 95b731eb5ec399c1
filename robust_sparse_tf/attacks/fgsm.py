"""FGSM, the fast gradient sign method."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks.base import Ascent, Logits, draws_option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class FGSM(Ascent):
    """One step of size epsilon along the sign of the gradient ("FGS"), by CleverHans.

    "Explaining and Harnessing Adversarial Examples" (Goodfellow et al., 2015), section 4; in l2,
    along the gradient itself.
    """

    draws: int = draws_option()

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if gradient_at_x is not None:
            return self.step_along(x, gradient_at_x, self.epsilon)
        return self.step(model, x, labels, self.epsilon, self.draws)
