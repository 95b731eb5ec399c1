"""PGD, projected gradient descent."""

import dataclasses

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.utils import clip_eta

from robust_sparse_tf.attacks.base import Attack, Logits, sign_step
from robust_sparse_tf.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Repeated sign steps, each projected back into the ball; step and projection by CleverHans.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry et al., 2018), section 2.
    The loop is ours: CleverHans' own is unrolled, step by step, into the graph.
    """

    step_size: float = option(0.05, "length of one step", unit="input units", above=0)
    steps: int = option(10, "steps of the attack", unit="steps", minimum=1)
    random_start: bool = option(False, "start at a random point of the ball instead of at x")

    def noise(self, shape: tf.Tensor, seed: tf.Tensor | tuple) -> tf.Tensor | None:
        """Uniform in the ball, by a generator that is the same on every device."""
        if not self.random_start:
            return None
        return tf.random.stateless_uniform(
            shape, seed, minval=-self.epsilon, maxval=self.epsilon, alg="philox"
        )

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Attack.ascend`."""
        start, done = x, 0
        if noise is not None:
            start = self._project(x, x + noise)
        elif gradient_at_x is not None:
            start = self._project(x, sign_step(self, x, gradient_at_x, self.step_size))
            done = 1

        def step(i: tf.Tensor, adversarial: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            stepped = fast_gradient_method(
                model,
                adversarial,
                self.step_size,
                np.inf,
                clip_min=self.clip_min,
                clip_max=self.clip_max,
                y=labels,
            )
            return i + 1, self._project(x, stepped)

        _, adversarial = tf.while_loop(
            lambda i, _: i < self.steps,
            step,
            (tf.constant(done), start),
            maximum_iterations=self.steps - done,
        )
        return tf.stop_gradient(adversarial)

    def _project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        inside = x + clip_eta(adversarial - x, np.inf, self.epsilon)
        return tf.clip_by_value(inside, self.clip_min, self.clip_max)
