"""TRADES: a trade-off of clean accuracy and smoothness around the images."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import PGD, RandomIntensity
from robust_sparse_tf.attacks.losses import kl_divergence
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option, shown
from robust_sparse_tf.training.objectives.base import Joint, TrainingAttack, needed

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trades(Joint):
    """CE(clean) + beta KL(p(clean) || p(adversarial)).

    "Theoretically Principled Trade-off between Robustness and Accuracy" (Zhang et al., 2019),
    equation 5. The attack is PGD on the divergence instead of the cross-entropy, see `PGD.loss`.
    """

    beta: float = option(6.0, "weight of the divergence of adversarial predictions", minimum=0)

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """The attack with `loss="kl"`.

        Raises:
            InputError: for another attack than PGD, and for none.
        """
        needed(self, attack)
        inner = attack.attack if isinstance(attack, RandomIntensity) else attack
        if not isinstance(inner, PGD):
            raise InputError(f"attack={shown(inner)}: must be PGD with Trades")
        inner = dataclasses.replace(inner, loss="kl")
        if isinstance(attack, RandomIntensity):
            return dataclasses.replace(attack, attack=inner)
        return inner

    def losses(
        self, labels: tf.Tensor, clean_logits: tf.Tensor, adversarial_logits: tf.Tensor
    ) -> tf.Tensor:
        """See `Joint.losses`."""
        clean = self.example_losses(labels, clean_logits)
        return clean + self.beta * kl_divergence(clean_logits, adversarial_logits)
