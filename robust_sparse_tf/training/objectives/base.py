"""Bases of objectives, the losses of adversarial training."""

from __future__ import annotations

import abc
import dataclasses
from typing import TypeAlias

from etils import epy

from robust_sparse_tf.attacks import Ascent, RandomIntensity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option, require
from robust_sparse_tf.tensors import as_labels, as_tensor
from robust_sparse_tf.values import check_labels

with epy.lazy_imports():
    import tensorflow as tf

TrainingAttack: TypeAlias = Ascent | RandomIntensity | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss of adversarial training.

    How its gradient is computed depends on its base, see `training.gradients`: for a `Separable`
    loss by two backward passes, for a `Joint` one by one.
    """

    label_smoothing: float = option(
        0.0, "probability spread evenly over all classes", minimum=0, maximum=1
    )
    activity_l1: float = option(
        0.0,
        "weight of the l1 norm of the outputs of all hidden ReLUs, summed over units and averaged "
        "over examples",
        minimum=0,
    )

    def __post_init__(self) -> None:
        check(self)

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """The attack to run in training, from that of a model; None for none.

        Raises:
            InputError: if the objective cannot use it.
        """
        return attack

    def example_losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Cross-entropy per example: float32 [batch], from labels [batch] and logits [batch, c].

        Excludes the activity penalty, see `activity`. Smoothing is from "Rethinking the Inception
        Architecture" (Szegedy et al., 2016), section 7.

        Raises:
            InputError: if labels and logits do not fit.
        """
        labels = as_labels("labels", labels)
        logits = as_tensor("logits", logits, tf.float32)
        size = labels.shape[0]
        if not logits.shape.is_compatible_with([size, None]):
            raise InputError(f"logits of shape {logits.shape}: must be [{size}, classes]")
        if isinstance(labels, tf.__internal__.EagerTensor) and labels.shape[0]:
            check_labels(labels.numpy(), logits.shape[1])
        if not self.label_smoothing:
            # Written like CleverHans' attack loss, so that TensorFlow merges the backward passes.
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        classes = logits.shape[-1]
        smooth = tf.one_hot(labels, classes) * (1 - self.label_smoothing)
        smooth += self.label_smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(labels=smooth, logits=logits)

    def activity(self, activations: list[tf.Tensor]) -> tf.Tensor:
        """The activity penalty per example: float32 [batch], from activations [batch, ...].

        "Deep Sparse Rectifier Neural Networks" (Glorot, Bordes and Bengio, 2011), section 3.

        Raises:
            InputError: unless there is at least one.
        """
        require("activations", activations, list, tuple)
        activations = [as_tensor("activations", each, tf.float32) for each in activations]
        sizes = {each.shape[0] if each.shape.rank else 0 for each in activations}
        if not activations or 0 in sizes or len(sizes) > 1:
            raise InputError("activations: must be at least one tensor, all [batch, ...]")
        sums = [tf.reduce_sum(tf.abs(each), range(1, each.shape.rank)) for each in activations]
        return self.activity_l1 * tf.add_n(sums)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separable(Objective, abc.ABC):
    """a CE(clean) + (1 - a) CE(adversarial), whose two gradients are computed one by one."""

    @property
    @abc.abstractmethod
    def clean_weight(self) -> float:
        """The weight a of the clean loss."""

    def mix(self, clean: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """The weighted sum of two losses, or of their gradients: tensors of equal shapes."""
        return self.clean_weight * clean + (1 - self.clean_weight) * adversarial


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joint(Objective, abc.ABC):
    """A loss of clean and adversarial logits that is no sum of a loss of each."""

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """See `Objective.training_attack`."""
        return needed(self, attack)

    @abc.abstractmethod
    def losses(
        self, labels: tf.Tensor, clean_logits: tf.Tensor, adversarial_logits: tf.Tensor
    ) -> tf.Tensor:
        """The loss per example: float32 [batch].

        Args:
            labels: integers [batch].
            clean_logits: float32 [batch, classes].
            adversarial_logits: likewise.
        """


def needed(objective: Objective, attack: TrainingAttack) -> TrainingAttack:
    """Returns the attack; raises InputError if there is none."""
    if attack is None:
        raise InputError(f"attack=None: must be an attack with {type(objective).__name__}")
    return attack
