"""A new random epsilon for each batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from etils import epy

from robust_sparse_tf.attacks.base import Ascent, Bounded, Logits, Seed, Stepwise
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option, require_function
from robust_sparse_tf.tensors import as_tensor

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomIntensity(Bounded):
    """An attack with a random epsilon per batch; its steps are scaled in proportion.

    Networks trained at one epsilon overfit to it: "Adversarial Machine Learning at Scale" (Kurakin
    et al., 2017), section 3, draws it from a normal distribution instead.

    Args:
        attack: the attack to run, which sets norm, clip range, labels and targets; its own epsilon
            only sets the ratio of its step size.
        distribution: from a seed (two integers) to a float32 scalar, the epsilon of a batch; by
            default |Norm(0, std)|.
    """

    allowed_norms = ("linf", "l2", "l1")
    can_target = True

    epsilon: float = option(
        1.0, "maximum epsilon; larger draws are cut to it", unit="input units", minimum=0
    )
    std: float = option(0.25, "deviation of the normal distribution", unit="input units", above=0)
    attack: Ascent
    distribution: Callable[[Seed], tf.Tensor] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Ascent) or not self.attack.epsilon > 0:
            raise InputError(
                f"attack={self.attack}: must follow the gradient, as FGSM and PGD do, with an "
                "epsilon above 0"
            )
        if self.distribution is not None:
            require_function("distribution", self.distribution, 1)
        self._take_from(self.attack, "norm", "low", "high", "attack_labels", "targeted")
        super().__post_init__()

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        return self.drawn(seed).perturb(model, x, labels, seed)

    def drawn(self, seed: Seed) -> Ascent:
        """Returns the attack of one batch, with the epsilon drawn from a seed."""
        drawn = (self.distribution or self._half_normal)(seed)
        radius = as_tensor("epsilon of the distribution", drawn, tf.float32)
        if not radius.shape.is_compatible_with([]):
            raise InputError(f"epsilon of the distribution of shape {radius.shape}: must be []")
        radius = tf.clip_by_value(radius, 0.0, self.epsilon)
        changed = {"epsilon": radius}
        if isinstance(self.attack, Stepwise) and self.attack.step_size is not None:
            changed["step_size"] = self.attack.step_size / self.attack.epsilon * radius
        return dataclasses.replace(self.attack, **changed)

    def _half_normal(self, seed: Seed) -> tf.Tensor:
        # A different stream from that of the attack's random start.
        return tf.abs(
            tf.random.stateless_normal([], fold(seed, 2**22), stddev=self.std, alg="philox")
        )
