"""Training: the adversarial train step, objectives, optimizers, noise on weights and devices."""

from etils import epy

from robust_sparse_tf.docstrings import document
from robust_sparse_tf.training import objectives
from robust_sparse_tf.training.objectives import Mixed
from robust_sparse_tf.training.optimizers import OptimizerOptions
from robust_sparse_tf.training.step_options import StepOptions

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.training.adversarial_model import AdversarialModel
    from robust_sparse_tf.training.noise import has_noise, set_noise, with_noise, without_noise

document([OptimizerOptions, StepOptions])

__all__ = [
    "AdversarialModel",
    "Mixed",
    "OptimizerOptions",
    "StepOptions",
    "has_noise",
    "objectives",
    "set_noise",
    "with_noise",
    "without_noise",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
