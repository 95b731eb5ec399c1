"""Sparse, adversarially robust networks in tf_keras.

With `RST_LIGHT_IMPORT` set, names are imported at their first use; the commands set it to start
quickly. Otherwise everything is imported at once, so that Keras can load stored models.
"""

import os
import sys

from etils import epy

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.version import __version__

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf import (
        attacks,
        bounds,
        callbacks,
        comparison,
        compute,
        data,
        evaluation,
        explain,
        export,
        models,
        plot,
        procedures,
        sparsity,
        training,
    )
    from robust_sparse_tf.attacks import Ball
    from robust_sparse_tf.comparison import compare
    from robust_sparse_tf.evaluation import evaluate
    from robust_sparse_tf.sparsity import sparsify, strip
    from robust_sparse_tf.training import AdversarialModel, objectives


def _is_board() -> bool:
    """Whether this process is TensorBoard, or our page alone: neither loads a model."""
    if sys.argv[0] == "-m":  # while the packages of the module are imported
        return "robust_sparse_tf.tensorboard" in sys.orig_argv
    return os.path.basename(sys.argv[0]) == "tensorboard"


if not (os.environ.get("RST_LIGHT_IMPORT") or _is_board()):
    from robust_sparse_tf import keras_classes as keras_classes

__all__ = [
    "AdversarialModel",
    "Ball",
    "InputError",
    "TrainingError",
    "__version__",
    "attacks",
    "bounds",
    "callbacks",
    "compare",
    "comparison",
    "compute",
    "data",
    "evaluate",
    "evaluation",
    "explain",
    "export",
    "models",
    "objectives",
    "plot",
    "procedures",
    "sparsify",
    "sparsity",
    "strip",
    "training",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
