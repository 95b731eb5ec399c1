"""Robustness, measured."""

from robust_sparse_tf.evaluation.accuracy import Evaluator, evaluate

__all__ = ["Evaluator", "evaluate"]
