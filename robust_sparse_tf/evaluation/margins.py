"""Two measures of robustness: accuracy under a fast attack, and mean distance to the boundary.

"Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and Chen, 2018), section 3.
"""

import math
import warnings
from typing import Any

import tensorflow as tf

from robust_sparse_tf.attacks import Attack, Bounded, MinimumNorm, norms
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.attacks.seeds import seed_of
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.evaluation.accuracy import Evaluator
from robust_sparse_tf.evaluation.inputs import (
    Data,
    Examples,
    batches,
    checked_logits,
    connected,
    examples,
)
from robust_sparse_tf.options import checked, shown

_BATCH = 500  # images; limits the memory for any size of data set


def r_inf(model: Any, data: Data, attack: Bounded, *, seed: int = 0) -> float:
    """The fraction of examples that stay correct under FGS or rFGS within linf distance epsilon.

    Args:
        model: any model or callable from images to logits.
        data: labelled images in the attack's range, see `inputs.images_and_labels`.
        attack: `FGSM` or `RFGSM`, with epsilon; any other attack bounded in linf works, too.
        seed: seed of random starts.

    Raises:
        InputError: if the attack is not bounded in linf, or the data do not fit.
    """
    _check(attack, Bounded, "linf")
    split = examples(data, attack.limits)
    logits = _with_gradient(model, split, attack)
    found = Evaluator(logits, {"attack": attack}, seed=seed)(split)
    return found["robust_accuracy"]["attack"]


def r_2(model: Any, data: Data, attack: MinimumNorm, *, seed: int = 0) -> float:
    """The mean over all examples of 1[correct] times the l2 distance found by the attack.

    Misclassified examples count as 0, and so do those for which the attack finds nothing. The
    latter make r_2 too small: a `RunWarning` gives their number.

    Args:
        model: any model or callable from images to logits.
        data: labelled images in the attack's range, see `inputs.images_and_labels`.
        attack: in l2, for example DeepFool or Carlini-Wagner.
        seed: seed of random starts.

    Raises:
        InputError: if the attack does not minimise in l2, or returns values that are not finite, or
            if the data do not fit.
    """
    seed = checked("seed", seed, int)
    _check(attack, MinimumNorm, "l2")
    split = examples(data, attack.limits)
    logits = _with_gradient(model, split, attack)

    @tf.function(autograph=False, reduce_retracing=True)  # see `inputs.graph`
    def measure(x: tf.Tensor, y: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        adversarial = attack(logits, x, y, seed=seed_of(seed, first))
        correct = tf.equal(tf.argmax(logits(x), axis=1), y)
        distance = tf.where(correct, norms.distance(adversarial - x, "l2"), 0.0)
        missed = correct & tf.equal(tf.argmax(logits(adversarial), axis=1), y)
        return tf.reduce_sum(tf.cast(distance, tf.float64)), tf.math.count_nonzero(missed)

    total, missed = 0.0, 0
    for first, x, y in batches(split, _BATCH):
        distance, still = measure(x, y, first)
        total, missed = total + float(distance), missed + int(still)
    if not math.isfinite(total):
        raise InputError(f"attack {type(attack).__name__}: found examples at an infinite distance")
    if missed:
        warnings.warn(
            f"{type(attack).__name__} found no adversarial example for {missed} of the "
            f"{split.size} examples, which count as distance 0: r_2 is too small",
            RunWarning,
            stacklevel=2,
        )
    return total / split.size


def _with_gradient(model: Any, split: Split | Examples, attack: Attack) -> Logits:
    few = split.gather(tf.range(min(32, split.size)))[0].numpy()
    logits, _ = checked_logits(model, few, split.labels)
    if attack.uses_gradients and not connected(logits, few)[1]:
        raise InputError(f"model: has no gradient, which {type(attack).__name__} needs")
    return logits


def _check(attack: Attack, kind: type, norm: str) -> None:
    if not isinstance(attack, kind) or attack.norm != norm or attack.targeted:
        raise InputError(
            f"attack={shown(attack)}: must be an untargeted attack of kind {kind.__name__} in "
            f"{norm}"
        )
