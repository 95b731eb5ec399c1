"""Recipes of several fits."""

from robust_sparse_tf.procedures.checkpoint import CheckpointStore, write_npz
from robust_sparse_tf.procedures.feature_pruning import FeaturePruning
from robust_sparse_tf.procedures.lottery_ticket import LotteryTicket

__all__ = ["CheckpointStore", "FeaturePruning", "LotteryTicket", "write_npz"]
