"""R+FGSM, FGSM after a random step."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from etils import epy

from robust_sparse_tf.attacks.base import Ascent, Logits, Seed, draws_option
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class RFGSM(Ascent):
    """A random sign step of a fraction of epsilon, then FGSM with the rest ("rFGS").

    "Ensemble Adversarial Training: Attacks and Defenses" (Tramèr et al., 2018), section 3.4.
    """

    allowed_norms: ClassVar[tuple[str, ...]] = ("linf",)

    random_share: float = option(
        0.5, "fraction of epsilon that the random step takes", minimum=0, maximum=1
    )
    draws: int = draws_option()

    def noise(self, shape: tf.Tensor, seed: Seed) -> tf.Tensor:
        """Plus or minus the size of the random step, with equal probability."""
        numbers = tf.random.stateless_normal(shape, seed, alg="philox")
        return self.random_share * self.epsilon * tf.sign(numbers)

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """See `Ascent.ascend`; the gradient at x itself is not used."""
        start = x if noise is None else self.clip(x + noise)
        size = (1 - self.random_share) * self.epsilon
        stepped = self.step(model, start, labels, size, self.draws)
        return self.project(x, stepped)
