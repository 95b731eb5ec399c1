"""FGSM, the fast gradient sign method."""

import dataclasses

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method

from robust_sparse_tf.attacks.base import Attack, Logits, sign_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """One step of size epsilon along the sign of the gradient, by CleverHans.

    "Explaining and Harnessing Adversarial Examples" (Goodfellow et al., 2015), section 4.
    """

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Attack.ascend`."""
        if gradient_at_x is not None:
            return tf.stop_gradient(sign_step(self, x, gradient_at_x, self.epsilon))
        adversarial = fast_gradient_method(
            model,
            x,
            self.epsilon,
            np.inf,
            clip_min=self.clip_min,
            clip_max=self.clip_max,
            y=labels,
        )
        return tf.stop_gradient(adversarial)
