"""Imports the classes that model files name, which registers them with Keras."""

from robust_sparse_tf.models import layers
from robust_sparse_tf.sparsity import sparse_model
from robust_sparse_tf.training import adversarial_model, inverse_decay, noise_layers

__all__ = ["adversarial_model", "inverse_decay", "layers", "noise_layers", "sparse_model"]
