"""BIM, the basic iterative method."""

import dataclasses
from typing import ClassVar

from robust_sparse_tf.attacks.pgd import PGD
from robust_sparse_tf.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BIM(PGD):
    """PGD without a random start.

    "Adversarial Examples in the Physical World" (Kurakin et al., 2017), section 2.2.
    """

    allowed_norms: ClassVar[tuple[str, ...]] = ("linf",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.random_start:
            raise InputError("random_start=True: must be False for BIM; use PGD for a random start")
