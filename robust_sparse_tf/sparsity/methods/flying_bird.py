"""Flying Bird: dynamic sparsity against robust overfitting."""

from __future__ import annotations

import dataclasses

from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.rigl import RigL


@dataclasses.dataclass(frozen=True)
class FlyingBird(RigL):
    """Drops the smallest half of the weights, and grows as many by the gradient.

    "Sparsity Winning Twice: Better Robust Generalization from More Efficient Training" (Chen et
    al., 2022), section 3.
    """

    _: dataclasses.KW_ONLY
    drop_fraction: float = option(
        0.5, "fraction of a layer's weights dropped at an update", minimum=0, maximum=1
    )
