"""tf_keras callbacks: a log of sparsity, and methods for those who keep their own train step."""

from robust_sparse_tf.training.callbacks.feedback import FlyingBirdFeedback
from robust_sparse_tf.training.callbacks.regrow import Regrow
from robust_sparse_tf.training.callbacks.rewind import Rewind
from robust_sparse_tf.training.callbacks.sparsity_log import SparsityLog

__all__ = ["FlyingBirdFeedback", "Regrow", "Rewind", "SparsityLog"]
