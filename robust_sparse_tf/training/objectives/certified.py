"""Base of objectives of certified training."""

from __future__ import annotations

import abc
import dataclasses

from etils import epy

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.training.objectives.base import Objective, TrainingAttack

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certified(Objective, abc.ABC):
    """k CE(clean) + (1 - k) CE(worst logits), the worst by bounds over an linf ball; no attack.

    The worst logits are 0 for the label and minus the lower bound of its margin for each other
    class. The radius grows from 0 to `certified_epsilon` while k falls from 1 to `kappa`, both
    linearly in the step: "On the Effectiveness of Interval Bound Propagation for Training
    Verifiably Robust Models" (Gowal et al., 2018, section 3 and equation 12,
    https://arxiv.org/abs/1810.12715). Images are in [0, 1].
    """

    certified_epsilon: float = option(
        0.3, "linf radius of the bounds at the end of the ramp", unit="input units", minimum=0
    )
    kappa: float = option(
        0.5, "weight of the clean loss at the end of the ramp", minimum=0, maximum=1
    )
    warmup_steps: int = option(
        2000, "first steps, which train on clean images only", unit="steps", minimum=0
    )
    ramp_steps: int = option(
        10000,
        "steps after the warm-up in which the radius grows, and the weight of the clean loss falls",
        unit="steps",
        minimum=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activity_l1:
            name = type(self).__name__
            raise InputError(f"activity_l1={self.activity_l1}: must be 0 with {name}")

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """None: see `Objective.training_attack`."""
        del attack
        return None

    def progress(self, step: tf.Tensor) -> tf.Tensor:
        """The part of the ramp that is over at a step, an integer: float32 from 0 to 1."""
        done = tf.cast(step, tf.float32) - self.warmup_steps
        return tf.clip_by_value((done + 1) / max(1, self.ramp_steps), 0.0, 1.0)

    def ball(self, progress: float | tf.Tensor = 1.0) -> Ball:
        """The ball at a part of the ramp; the default is its end."""
        return Ball("linf", progress * self.certified_epsilon)

    @abc.abstractmethod
    def margins(
        self, network: keras.Model, x: tf.Tensor, y: tf.Tensor, progress: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A pass in training mode, which can be differentiated with respect to the weights.

        Args:
            network: with or without masks, of layers that have bounds.
            x: float32 [batch, ...], in [0, 1].
            y: int64 [batch].
            progress: see `progress`.

        Returns:
            Logits of the clean images, and lower bounds of the label's logit minus each other logit
            over `ball(progress)`, infinite at the label: float32 [batch, classes] each.
        """

    def losses(
        self, labels: tf.Tensor, clean_logits: tf.Tensor, margins: tf.Tensor, progress: tf.Tensor
    ) -> tf.Tensor:
        """The loss per example: float32 [batch].

        Args:
            labels: integers [batch].
            clean_logits: float32 [batch, classes].
            margins: see `margins`.
            progress: see `progress`.
        """
        worst = tf.where(tf.math.is_inf(margins), 0.0, -margins)
        clean = self.example_losses(labels, clean_logits)
        certified = self.example_losses(labels, worst)
        weight = 1 - progress * (1 - self.kappa)
        return weight * clean + (1 - weight) * certified
