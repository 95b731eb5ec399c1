"""The loss of clean examples."""

import dataclasses

from robust_sparse_tf.training.objectives.base import Separable, TrainingAttack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean(Separable):
    """CE(clean): ordinary training, in which an attack is not run."""

    clean_weight = 1.0

    def training_attack(self, attack: TrainingAttack) -> TrainingAttack:
        """None: see `Objective.training_attack`."""
        del attack
        return None
