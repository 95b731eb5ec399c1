"""Robustness, measured."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.evaluation.accuracy import Evaluator, Figures
    from robust_sparse_tf.evaluation.activations import activation_sparsity
    from robust_sparse_tf.evaluation.bounds_linear import binary_bounds, multiclass_bounds
    from robust_sparse_tf.evaluation.certificates import certified_accuracy
    from robust_sparse_tf.evaluation.clever_score import clever
    from robust_sparse_tf.evaluation.feature_usefulness import Usefulness, usefulness
    from robust_sparse_tf.evaluation.intervals import student, wilson
    from robust_sparse_tf.evaluation.lipschitz import local_lipschitz, safe_distance
    from robust_sparse_tf.evaluation.margins import r_2, r_inf
    from robust_sparse_tf.evaluation.random_masks import MaskedConstants, masked_lipschitz
    from robust_sparse_tf.evaluation.report import Outcome, Report, Row
    from robust_sparse_tf.evaluation.robustness import evaluate
    from robust_sparse_tf.evaluation.saving import save


__all__ = [
    "Evaluator",
    "Figures",
    "MaskedConstants",
    "Outcome",
    "Report",
    "Row",
    "Usefulness",
    "activation_sparsity",
    "binary_bounds",
    "certified_accuracy",
    "clever",
    "evaluate",
    "local_lipschitz",
    "masked_lipschitz",
    "multiclass_bounds",
    "r_2",
    "r_inf",
    "safe_distance",
    "save",
    "student",
    "usefulness",
    "wilson",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
