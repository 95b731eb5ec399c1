"""Losses of adversarial training."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option, require
from robust_sparse_tf.tensors import as_labels, as_tensor
from robust_sparse_tf.values import check_labels

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed:
    """a CE(clean) + (1 - a) CE(adversarial), with label smoothing.

    "Explaining and Harnessing Adversarial Examples" (Goodfellow et al., 2015), section 6; smoothing
    from "Rethinking the Inception Architecture" (Szegedy et al., 2016), section 7.
    """

    clean_weight: float = option(
        0.5, "weight a of the clean loss; the adversarial one gets 1 - a", minimum=0, maximum=1
    )
    label_smoothing: float = option(
        0.0, "probability spread evenly over all classes", minimum=0, maximum=1
    )

    activity_l1: float = option(
        0.0,
        "weight of the l1 norm of the outputs of all hidden ReLUs, summed over units and averaged "
        "over examples",
        minimum=0,
    )

    def __post_init__(self) -> None:
        check(self)

    def example_losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Cross-entropy per example: float32 [batch], from labels [batch] and logits [batch, c].

        Excludes the activity penalty, see `activity`.

        Raises:
            InputError: if labels and logits do not fit.
        """
        labels = as_labels("labels", labels)
        logits = as_tensor("logits", logits, tf.float32)
        size = labels.shape[0]
        if not logits.shape.is_compatible_with([size, None]):
            raise InputError(f"logits of shape {logits.shape}: must be [{size}, classes]")
        if isinstance(labels, tf.__internal__.EagerTensor) and labels.shape[0]:
            check_labels(labels.numpy(), logits.shape[1])
        if not self.label_smoothing:
            # Written like CleverHans' attack loss, so that TensorFlow merges the backward passes.
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        classes = logits.shape[-1]
        smooth = tf.one_hot(labels, classes) * (1 - self.label_smoothing)
        smooth += self.label_smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(labels=smooth, logits=logits)

    def activity(self, activations: list[tf.Tensor]) -> tf.Tensor:
        """The activity penalty per example: float32 [batch], from activations [batch, ...].

        "Deep Sparse Rectifier Neural Networks" (Glorot, Bordes and Bengio, 2011), section 3.

        Raises:
            InputError: unless there is at least one.
        """
        require("activations", activations, list, tuple)
        activations = [as_tensor("activations", each, tf.float32) for each in activations]
        sizes = {each.shape[0] if each.shape.rank else 0 for each in activations}
        if not activations or 0 in sizes or len(sizes) > 1:
            raise InputError("activations: must be at least one tensor, all [batch, ...]")
        sums = [tf.reduce_sum(tf.abs(each), range(1, each.shape.rank)) for each in activations]
        return self.activity_l1 * tf.add_n(sums)
