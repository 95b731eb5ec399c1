"""Training: the adversarial train step, objectives, optimizers, devices and callbacks."""

from robust_sparse_tf.training import callbacks, objectives
from robust_sparse_tf.training.adversarial_model import AdversarialModel
from robust_sparse_tf.training.objectives import Mixed
from robust_sparse_tf.training.optimizers import OptimizerOptions

__all__ = ["AdversarialModel", "Mixed", "OptimizerOptions", "callbacks", "objectives"]
