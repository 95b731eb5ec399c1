"""Pruning of whole features, the least useful first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option, require
from robust_sparse_tf.sparsity import layer_states, set_masks
from robust_sparse_tf.tensors import as_array

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.data import split
    from robust_sparse_tf.evaluation import feature_usefulness
    from robust_sparse_tf.sparsity import wrapper

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeaturePruning:
    """Prunes a fraction of the remaining features, those with the smallest weighted usefulness.

    The method of "Towards lighter adversarially robust model": repeatedly prune the least
    (robustly) useful features and train further (`LotteryTicket` with strategy="continued"). A
    feature is pruned with its weights in the last layer and those of the unit that computes it.
    """

    prune_features: float = option(
        0.2,
        "fraction of the remaining features pruned per round (0: a control, trained equally long)",
        minimum=0,
        maximum=1,
    )
    prune_measure: str = option(
        "robust_usefulness",
        "usefulness that decides which features are kept: on clean images, or under attack",
        choices=("usefulness", "robust_usefulness"),
    )
    prune_images: int = option(
        1000, "number of training images on which features are measured", unit="images", minimum=1
    )

    def __post_init__(self) -> None:
        check(self)

    def prune(self, model: keras.Model, data: Split) -> None:
        """Prunes features of a wrapped model; at least one is kept.

        Args:
            model: a binary classifier, see `sparsity.feature_usefulness.head`.
            data: the training images.

        Raises:
            InputError: for any other model, or frozen layers (trainable=False).
        """
        require("data", data, split.Split)
        entries = wrapper.require_masks(model)
        frozen = [entry.name for entry in entries if not entry.layer.trainable]
        if frozen:
            raise InputError(
                f"layers {', '.join(frozen)}: are frozen (trainable=False); must not be, as their "
                "weights are pruned with the features"
            )
        numbers = tf.range(min(self.prune_images, data.size), dtype=tf.int64)
        images, labels = (part.numpy() for part in data.gather(numbers))
        found = feature_usefulness.usefulness(model, (images, labels))
        robust = self.prune_measure == "robust_usefulness"
        kept = self.kept(found.weighted_robust if robust else found.weighted, found.weights != 0)
        layers = layer_states(model)
        masks = [layer.active for layer in layers]
        masks[-1] &= kept[:, None]
        # If the layer before has one unit per feature; otherwise features share its weights.
        if len(layers) > 1 and layers[-2].weight.shape[1] == len(kept):
            masks[-2] &= kept[None, :]
        set_masks(model, masks)

    def kept(self, worth: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Which features are kept: bool [features].

        Args:
            worth: usefulness per feature, float [features].
            active: features that are not pruned yet, bool [features].

        Raises:
            InputError: for other arrays.
        """
        worth, active = as_array("worth", worth), as_array("active", active)
        if worth.ndim != 1 or active.shape != worth.shape or active.dtype != bool:
            raise InputError(
                f"worth of shape {worth.shape} and active of shape {active.shape} and type "
                f"{active.dtype}: must be [features], the latter bool"
            )
        remaining = int(active.sum())
        count = max(1, remaining - round(self.prune_features * remaining))
        best = np.argsort(np.where(active, -worth, np.inf), kind="stable")[:count]
        return np.isin(np.arange(len(worth)), best)
