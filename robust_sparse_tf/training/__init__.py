"""Training: the adversarial train step, objectives, optimizers, devices and callbacks."""

from etils import epy

from robust_sparse_tf.docstrings import document
from robust_sparse_tf.training import objectives
from robust_sparse_tf.training.objectives import Mixed
from robust_sparse_tf.training.optimizers import OptimizerOptions

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.training import callbacks
    from robust_sparse_tf.training.adversarial_model import AdversarialModel

document([Mixed, OptimizerOptions])

__all__ = ["AdversarialModel", "Mixed", "OptimizerOptions", "callbacks", "objectives"]


def __dir__() -> list[str]:
    """The public names, which are those that TAB offers."""
    return __all__
