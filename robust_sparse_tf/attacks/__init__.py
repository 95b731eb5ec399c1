"""Attacks: small immutable objects, `x_adv = attack(model, x, y)`."""

from robust_sparse_tf.attacks.base import Attack
from robust_sparse_tf.attacks.fgsm import FGSM
from robust_sparse_tf.attacks.pgd import PGD

BY_NAME = {"fgsm": FGSM, "pgd": PGD}

__all__ = ["BY_NAME", "FGSM", "PGD", "Attack"]
