"""Attacks: small immutable objects, `x_adv = attack(model, x, y)`."""

from robust_sparse_tf.attacks.apgd import APGD
from robust_sparse_tf.attacks.ball import Ball
from robust_sparse_tf.attacks.base import Ascent, Attack, Bounded, MinimumNorm, Stepwise
from robust_sparse_tf.attacks.bim import BIM
from robust_sparse_tf.attacks.carlini_wagner import CarliniWagner
from robust_sparse_tf.attacks.deepfool import DeepFool
from robust_sparse_tf.attacks.fab import FAB
from robust_sparse_tf.attacks.fgsm import FGSM
from robust_sparse_tf.attacks.mim import MIM
from robust_sparse_tf.attacks.noise import GaussianNoise, UniformNoise
from robust_sparse_tf.attacks.pgd import PGD
from robust_sparse_tf.attacks.random_intensity import RandomIntensity
from robust_sparse_tf.attacks.rfgsm import RFGSM
from robust_sparse_tf.attacks.spsa import SPSA
from robust_sparse_tf.attacks.square import Square
from robust_sparse_tf.attacks.transfer import Transfer
from robust_sparse_tf.attacks.zoo import ZOO
from robust_sparse_tf.docstrings import document

BY_NAME: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "rfgsm": RFGSM,
    "bim": BIM,
    "pgd": PGD,
    "mim": MIM,
    "apgd": APGD,
    "deepfool": DeepFool,
    "carlini_wagner": CarliniWagner,
    "fab": FAB,
    "square": Square,
    "spsa": SPSA,
    "zoo": ZOO,
    "uniform_noise": UniformNoise,
    "gaussian_noise": GaussianNoise,
}

document([Ball, RandomIntensity, Transfer, *BY_NAME.values()])

__all__ = [
    "APGD",
    "BIM",
    "BY_NAME",
    "FAB",
    "FGSM",
    "MIM",
    "PGD",
    "RFGSM",
    "SPSA",
    "ZOO",
    "Ascent",
    "Attack",
    "Ball",
    "Bounded",
    "CarliniWagner",
    "DeepFool",
    "GaussianNoise",
    "MinimumNorm",
    "RandomIntensity",
    "Square",
    "Stepwise",
    "Transfer",
    "UniformNoise",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
