"""No sparsity, as a method, so that a comparison is one flag."""

import dataclasses

from robust_sparse_tf.sparsity.methods.base import Method


@dataclasses.dataclass(frozen=True)
class Dense(Method):
    """All weights stay."""
