"""Sparse models: masks on tfmot's wrapper, and the methods that choose and change them."""

from etils import epy

from robust_sparse_tf.docstrings import document
from robust_sparse_tf.sparsity.methods.base import (
    Change,
    LayerState,
    Method,
    Pruner,
    Scheduled,
    Targeted,
    layer_states,
    set_masks,
)
from robust_sparse_tf.sparsity.methods.dense import Dense
from robust_sparse_tf.sparsity.methods.dynamic import Dynamic
from robust_sparse_tf.sparsity.methods.ema import EMAGrowth
from robust_sparse_tf.sparsity.methods.flying_bird import FlyingBird
from robust_sparse_tf.sparsity.methods.flying_bird_plus import FlyingBirdPlus
from robust_sparse_tf.sparsity.methods.gradual import GradualMagnitude
from robust_sparse_tf.sparsity.methods.grasp import GraSP
from robust_sparse_tf.sparsity.methods.layer_rates import LayerRates
from robust_sparse_tf.sparsity.methods.magnitude import Magnitude
from robust_sparse_tf.sparsity.methods.rigl import RigL
from robust_sparse_tf.sparsity.methods.set import SET
from robust_sparse_tf.sparsity.methods.snfs import SNFS
from robust_sparse_tf.sparsity.methods.snip import SNIP
from robust_sparse_tf.sparsity.methods.static import Static
from robust_sparse_tf.sparsity.methods.synflow import SynFlow
from robust_sparse_tf.sparsity.methods.threshold import Threshold

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.sparsity.counting import densities, statistics
    from robust_sparse_tf.sparsity.masked_model import MaskedModel, strip
    from robust_sparse_tf.sparsity.sparse_model import SparseModel, sparsify
    from robust_sparse_tf.sparsity.stepper import Stepper, change_weight, find_sparse_model
    from robust_sparse_tf.sparsity.wrapper import (
        MaskedLayer,
        MaskedWeight,
        dense_layers,
        masked_weights,
        prunable_weights,
        silence_tfmot,
        store_masked,
        wrap,
    )

BY_NAME: dict[str, type[Method]] = {
    "dense": Dense,
    "static": Static,
    "snip": SNIP,
    "grasp": GraSP,
    "synflow": SynFlow,
    "magnitude": Magnitude,
    "threshold": Threshold,
    "gradual": GradualMagnitude,
    "set": SET,
    "rigl": RigL,
    "ema": EMAGrowth,
    "snfs": SNFS,
    "flying_bird": FlyingBird,
    "flying_bird_plus": FlyingBirdPlus,
}

document([LayerRates, *BY_NAME.values()])

__all__ = [
    "BY_NAME",
    "SET",
    "SNFS",
    "SNIP",
    "Change",
    "Dense",
    "Dynamic",
    "EMAGrowth",
    "FlyingBird",
    "FlyingBirdPlus",
    "GraSP",
    "GradualMagnitude",
    "LayerRates",
    "LayerState",
    "Magnitude",
    "MaskedLayer",
    "MaskedModel",
    "MaskedWeight",
    "Method",
    "Pruner",
    "RigL",
    "Scheduled",
    "SparseModel",
    "Static",
    "Stepper",
    "SynFlow",
    "Targeted",
    "Threshold",
    "change_weight",
    "dense_layers",
    "densities",
    "find_sparse_model",
    "layer_states",
    "masked_weights",
    "prunable_weights",
    "set_masks",
    "silence_tfmot",
    "sparsify",
    "statistics",
    "store_masked",
    "strip",
    "wrap",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
