"""Objectives, the losses of adversarial training, one file each."""

from robust_sparse_tf.docstrings import document
from robust_sparse_tf.training.objectives.adversarial import Adversarial
from robust_sparse_tf.training.objectives.base import Joint, Objective, Separable
from robust_sparse_tf.training.objectives.certified import Certified
from robust_sparse_tf.training.objectives.clean import Clean
from robust_sparse_tf.training.objectives.crown_ibp import CrownIBP
from robust_sparse_tf.training.objectives.ibp import IBP
from robust_sparse_tf.training.objectives.mart import Mart
from robust_sparse_tf.training.objectives.mixed import Mixed
from robust_sparse_tf.training.objectives.rsr import RSR
from robust_sparse_tf.training.objectives.trades import Trades

BY_NAME: dict[str, type[Objective]] = {
    "clean": Clean,
    "adversarial": Adversarial,
    "mixed": Mixed,
    "rsr": RSR,
    "trades": Trades,
    "mart": Mart,
    "ibp": IBP,
    "crown_ibp": CrownIBP,
}

document(BY_NAME.values())

__all__ = [
    "BY_NAME",
    "IBP",
    "RSR",
    "Adversarial",
    "Certified",
    "Clean",
    "CrownIBP",
    "Joint",
    "Mart",
    "Mixed",
    "Objective",
    "Separable",
    "Trades",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
