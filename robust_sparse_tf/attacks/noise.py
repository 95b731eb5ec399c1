"""Random noise, the weakest attack: a baseline that every real attack must beat."""

from __future__ import annotations

import abc
import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Bounded, Logits, Seed
from robust_sparse_tf.attacks.loop import Best, State, while_standing
from robust_sparse_tf.attacks.losses import cross_entropy
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Bounded):
    """For each example, the first draw that fools, or otherwise the one with the largest loss."""

    can_target = True
    uses_gradients = False

    draws: int = option(10, "number of draws; the worst counts for each example", minimum=1)

    @abc.abstractmethod
    def draw(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws float32 noise of a given shape from a seed of two int64."""

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`."""

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, best, fooled = state
            drawn = self.draw(tf.shape(x), fold(seed, number))
            found = self.project(x, x + drawn)
            logits = model(found)
            losses = cross_entropy(logits, labels)
            won = self.fools(logits, labels)
            score = -losses if self.targeted else losses
            best = best.keep(~fooled & (won | (score > best.score)), found, score)
            return (x, labels, best, fooled | won), fooled | won

        state = (x, labels, Best.start(x), self.fools(model(x), labels))
        return while_standing(step, state, self.draws)[2].x


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformNoise(Noise):
    """Uniform noise in the ball."""

    allowed_norms = ("linf", "l2")

    def draw(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return norms.uniform(shape, self.norm, self.epsilon, seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianNoise(Noise):
    """Gaussian noise; points outside the ball are projected onto its surface."""

    allowed_norms = ("linf", "l2")

    std: float = option(0.1, "standard deviation", unit="input units", above=0)

    def draw(self, shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal(shape, seed, stddev=self.std, alg="philox")
