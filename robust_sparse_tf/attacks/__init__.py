"""Attacks: small immutable objects, `x_adv = attack(model, x, y)`."""

from robust_sparse_tf.attacks.base import Ascent, Attack, Bounded, MinimumNorm
from robust_sparse_tf.attacks.bim import BIM
from robust_sparse_tf.attacks.fgsm import FGSM
from robust_sparse_tf.attacks.mim import MIM
from robust_sparse_tf.attacks.pgd import PGD
from robust_sparse_tf.attacks.rfgsm import RFGSM

BY_NAME: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "rfgsm": RFGSM,
    "bim": BIM,
    "pgd": PGD,
    "mim": MIM,
}

__all__ = [
    "BIM",
    "BY_NAME",
    "FGSM",
    "MIM",
    "PGD",
    "RFGSM",
    "Ascent",
    "Attack",
    "Bounded",
    "MinimumNorm",
]
