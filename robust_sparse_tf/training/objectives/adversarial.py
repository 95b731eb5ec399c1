"""The loss of adversarial examples."""

import dataclasses

from robust_sparse_tf.training.objectives.base import Separable, TrainingAttack, needed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adversarial(Separable):
    """CE(adversarial), which needs no gradient of clean examples.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry et al., 2018), section 2.
    """

    clean_weight = 0.0

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """See `Objective.training_attack`."""
        return needed(self, attack)
