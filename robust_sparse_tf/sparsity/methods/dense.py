"""The dense baseline as a method, for comparisons."""

import dataclasses

from robust_sparse_tf.sparsity.methods.base import Method


@dataclasses.dataclass(frozen=True)
class Dense(Method):
    """Keeps all weights."""
