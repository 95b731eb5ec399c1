"""tf_keras callbacks: logs, checks, and methods for models with their own train step."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.callbacks.catastrophic_overfitting import CatastrophicOverfitting
    from robust_sparse_tf.callbacks.feedback import FlyingBirdFeedback
    from robust_sparse_tf.callbacks.regrow import Regrow
    from robust_sparse_tf.callbacks.rewind import Rewind
    from robust_sparse_tf.callbacks.robustness_log import RobustnessLog
    from robust_sparse_tf.callbacks.sparsity_log import SparsityLog


__all__ = [
    "CatastrophicOverfitting",
    "FlyingBirdFeedback",
    "Regrow",
    "Rewind",
    "RobustnessLog",
    "SparsityLog",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
