"""The mixed loss of clean and adversarial examples."""

import dataclasses

from robust_sparse_tf.options import option
from robust_sparse_tf.training.objectives.base import Separable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed(Separable):
    """a CE(clean) + (1 - a) CE(adversarial), with label smoothing.

    "Explaining and Harnessing Adversarial Examples" (Goodfellow et al., 2015), section 6.
    """

    clean_weight: float = option(
        0.5, "weight a of the clean loss; the adversarial one gets 1 - a", minimum=0, maximum=1
    )
