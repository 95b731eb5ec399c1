"""Recipes of several fits."""

from robust_sparse_tf.procedures.checkpoint import CheckpointStore, write_npz
from robust_sparse_tf.procedures.lottery_ticket import LotteryTicket

__all__ = ["CheckpointStore", "LotteryTicket", "write_npz"]
