"""SPSA: gradients estimated from scores along random directions."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import adam, norms
from robust_sparse_tf.attacks.base import Bounded, Logits, Seed
from robust_sparse_tf.attacks.loop import Best, State, while_standing
from robust_sparse_tf.attacks.losses import margin
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class SPSA(Bounded):
    """Adam on the margin, with the gradient estimated by finite differences along random signs.

    "Adversarial Risk and the Dangers of Evaluating Against Weak Attacks" (Uesato et al., 2018),
    section 3.3 and appendix A. Needs forward passes only: two per sample, and one more per step.
    All examples of a batch share the random signs.
    """

    can_target = True
    uses_gradients = False

    steps: int = option(100, "steps of the attack", unit="steps", minimum=1)
    samples: int = option(64, "random directions averaged per step", minimum=1)
    delta: float = option(0.01, "distance of finite differences", unit="input units", above=0)
    learning_rate: float = option(0.01, "learning rate of Adam", unit="input units", above=0)

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`."""

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, adversarial, mean, square, best = state
            logits = model(adversarial)
            losses, fooled = self._loss(logits, labels), self.fools(logits, labels)
            best = best.update(adversarial, -losses, fooled)
            gradient = self._gradient(model, adversarial, labels, fold(seed, number))
            count = tf.cast(number + 1, tf.float32)
            mean, square, uphill = adam.step(mean, square, gradient, count)
            moved = adversarial - self.learning_rate * uphill
            return (x, labels, self.project(x, moved), mean, square, best), fooled

        zeros = tf.zeros_like(x)
        # The last step only evaluates the result of the step before.
        state = (x, labels, x, zeros, zeros, Best.start(x))
        return while_standing(step, state, self.steps + 1)[5].x

    def _loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return -margin(logits, labels) if self.targeted else margin(logits, labels)

    def _gradient(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """The mean of finite differences along random signs; each sign is its own inverse."""
        twice = tf.concat([labels, labels], axis=0)

        def sample(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            drawn = tf.random.stateless_uniform(
                tf.shape(x)[1:],
                fold(seed, number),
                minval=-1.0,
                alg="philox",
            )
            signs = tf.where(drawn < 0, -1.0, 1.0)[None]
            points = tf.concat([x + self.delta * signs, x - self.delta * signs], axis=0)
            above, below = tf.split(self._loss(model(points), twice), 2)
            return number + 1, total + norms.spread((above - below) / (2 * self.delta), x) * signs

        # One pair at a time: memory does not grow with the samples.
        _, total = tf.while_loop(
            lambda number, _: number < self.samples,
            sample,
            (tf.constant(0), tf.zeros_like(x)),
            maximum_iterations=self.samples,
        )
        return total / self.samples
