"""Robust sparse regularization: the mixed loss with a lasso."""

import dataclasses

from robust_sparse_tf.options import option
from robust_sparse_tf.training.objectives.mixed import Mixed


@dataclasses.dataclass(frozen=True, kw_only=True)
class RSR(Mixed):
    """a CE(clean) + (1 - a) CE(adversarial) + lambda sum |W|, over all kernels.

    "Robust Sparse Regularization" (Rakin et al., 2019), equation 6, which adds noise on the
    weights, see `with_noise`. The lasso's gradient is lambda sign(W), 0 at 0; methods that grow
    weights by their gradients do not see it.
    """

    weight_l1: float = option(
        1e-5,
        "weight lambda of the l1 norm of all kernels",
        above=0,
    )
