"""Sparse, adversarially robust networks in tf_keras.

The names are imported at their first use where `RST_LIGHT_IMPORT` is set, as commands do to start
quickly; else Keras must know at once the classes that stored models name.
"""

import os

from etils import epy

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.version import __version__

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf import (
        attacks,
        callbacks,
        comparison,
        data,
        evaluation,
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

if not os.environ.get("RST_LIGHT_IMPORT"):
    from robust_sparse_tf import keras_classes as keras_classes

__all__ = [
    "AdversarialModel",
    "Ball",
    "InputError",
    "TrainingError",
    "__version__",
    "attacks",
    "callbacks",
    "compare",
    "comparison",
    "data",
    "evaluate",
    "evaluation",
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
    """The public names, which are those that TAB offers."""
    return __all__
