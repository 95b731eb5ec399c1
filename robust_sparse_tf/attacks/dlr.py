"""Losses that are invariant to the scale of the logits [batch, classes].

"Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks"
(Croce and Hein, 2020), section 4.
"""

from __future__ import annotations

from etils import epy

from robust_sparse_tf.attacks.losses import margin
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

LEAST_CLASSES = {"dlr": 3, "targeted_dlr": 4}


def dlr(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The difference-of-logits ratio: float32 [batch]; above 0 for misclassified examples.

    Args:
        logits: float32 [batch, classes].
        labels: integers [batch] to move away from.

    Raises:
        InputError: for fewer than 3 classes.
    """
    logits = tf.convert_to_tensor(logits)
    check_classes("dlr", logits)
    first = tf.math.top_k(logits, 3).values
    return -_ratio(margin(logits, labels), first[:, 0] - first[:, 2])


def targeted_dlr(logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The targeted form: float32 [batch]; above 0 where the target's logit is above the label's.

    Args:
        logits: float32 [batch, classes].
        labels: integers [batch] to move away from.
        targets: integers [batch] to move to.

    Raises:
        InputError: for fewer than 4 classes.
    """
    logits = tf.convert_to_tensor(logits)
    check_classes("targeted_dlr", logits)
    first = tf.math.top_k(logits, 4).values
    own = tf.gather(logits, labels, axis=1, batch_dims=1)
    other = tf.gather(logits, targets, axis=1, batch_dims=1)
    return -_ratio(own - other, first[:, 0] - (first[:, 2] + first[:, 3]) / 2)


def check_classes(loss: str, logits: tf.Tensor) -> None:
    """Checks that a loss of this module is defined for logits [batch, classes].

    Raises:
        InputError: naming the loss, and the numbers of classes it needs and has.
    """
    classes, least = logits.shape[-1], LEAST_CLASSES[loss]
    if classes < least:
        raise InputError(f"loss={loss}: needs at least {least} classes, the model has {classes}")


def _ratio(difference: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    # The scale is 0 only where the largest logits are equal; the difference is then about 0, too.
    return difference / tf.maximum(scale, 1e-12)
