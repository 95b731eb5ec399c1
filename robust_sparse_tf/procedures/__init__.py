"""Procedures that consist of several trainings."""

from robust_sparse_tf.procedures.between_rounds import BetweenRounds
from robust_sparse_tf.procedures.checkpoint import CheckpointStore
from robust_sparse_tf.procedures.feature_pruning import FeaturePruning
from robust_sparse_tf.procedures.lottery_ticket import LotteryTicket
from robust_sparse_tf.procedures.phases import PhaseOptions, Phases
from robust_sparse_tf.procedures.records import Measured, Record, Standing
from robust_sparse_tf.procedures.rounds import Rounds

__all__ = [
    "BetweenRounds",
    "CheckpointStore",
    "FeaturePruning",
    "LotteryTicket",
    "Measured",
    "PhaseOptions",
    "Phases",
    "Record",
    "Rounds",
    "Standing",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
