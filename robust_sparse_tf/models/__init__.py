"""The field's architectures: plain tf_keras models that return logits."""

from robust_sparse_tf.models.lenet import lenet_300_100

BY_NAME = {"lenet_300_100": lenet_300_100}

__all__ = ["BY_NAME", "lenet_300_100"]
