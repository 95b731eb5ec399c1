"""Robustness of linear classifiers, computed from their weights.

"Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and Chen, 2018), theorems 3.1
and 3.2. Both are about inputs that are not clipped.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import (
    Data,
    Examples,
    batches,
    checked_logits,
    examples,
)
from robust_sparse_tf.options import checked
from robust_sparse_tf.values import check_labels

_BATCH = 500


class LinearBounds(NamedTuple):
    """Bounds on r_2 (input units) and r_inf (a fraction; a bound above 1 is vacuous)."""

    r_2: float
    r_inf: float


def binary_bounds(
    model: Any, data: Data, epsilon: float, *, as_stated: bool = True
) -> LinearBounds:
    """Theorem 3.1: the exact r_2 and a bound on r_inf of a linear binary classifier.

        r_2 = (t/2) w.(mu+ - mu-) / ||w||_2,   r_inf <= (t/2) w.(mu+ - mu-) / (epsilon ||w||_1),

    with t the accuracy, w = w_1 - w_0 and mu the mean of the correctly classified examples of class
    1 (+) and of class 0 (-).

    Args:
        model: any model or callable whose two logits are linear in the images.
        data: labelled images, see `inputs.images_and_labels`.
        epsilon: linf distance of r_inf.
        as_stated: whether to use the theorem's formulas, which hold if both classes have equally
            many correct examples; otherwise each class is weighted by its fraction, and the bias is
            included, which always holds.

    Raises:
        InputError: if the model is not linear or does not have two classes, if epsilon is not above
            0, or if a class has no correct example.
    """
    as_stated = checked("as_stated", as_stated, bool)
    weights, biases, shares, means = _facts(model, data, epsilon)
    if len(weights) != 2:
        raise InputError(f"num_classes={len(weights)}: must be 2 for theorem 3.1")
    if as_stated:
        shares, biases = np.full(2, shares.sum() / 2), np.zeros(2)
    w, b = weights[1] - weights[0], biases[1] - biases[0]
    margin = shares[1] * (w @ means[1] + b) - shares[0] * (w @ means[0] + b)
    return LinearBounds(
        float(margin / np.linalg.norm(w)), float(margin / (epsilon * np.abs(w).sum()))
    )


def multiclass_bounds(
    model: Any, data: Data, epsilon: float, *, as_stated: bool = True
) -> LinearBounds:
    """Theorem 3.2: bounds on r_2 and r_inf of a linear classifier of c classes.

        r_2 <= (t/c) sum_k (w_k - wbar).mu_k / ||w_k - wbar||_2,
        r_inf <= (t/c) sum_k (w_k - wbar).mu_k / (epsilon ||w_k - wbar||_1),

    with t the accuracy, wbar the mean of the w_k and mu_k the mean of the correctly classified
    examples of class k.

    Args:
        model: any model or callable whose logits are linear in the images.
        data: labelled images, see `inputs.images_and_labels`.
        epsilon: linf distance of r_inf.
        as_stated: whether to use the theorem's formulas, which hold if all classes have equally
            many correct examples and there are no biases; otherwise each class is weighted by its
            fraction, and b_k - bbar is added to its margin, which always holds.

    Raises:
        InputError: if the model is not linear, if epsilon is not above 0, or if a class has no
            correct example.
    """
    as_stated = checked("as_stated", as_stated, bool)
    weights, biases, shares, means = _facts(model, data, epsilon)
    classes = len(weights)
    if as_stated:
        shares, biases = np.full(classes, shares.sum() / classes), np.zeros(classes)
    centred = weights - weights.mean(axis=0)
    margins = shares * (np.sum(centred * means, axis=1) + biases - biases.mean())
    return LinearBounds(
        float(np.sum(margins / np.linalg.norm(centred, axis=1))),
        float(np.sum(margins / (epsilon * np.abs(centred).sum(axis=1)))),
    )


def _facts(model: Any, data: Data, epsilon: float) -> tuple[np.ndarray, ...]:
    """Weights [c, d], biases [c], and of the correct examples: fractions [c] and means [c, d]."""
    epsilon = checked("epsilon", epsilon, float, above=0)
    split = examples(data)
    few = split.gather(tf.range(min(32, split.size)))[0].numpy()
    logits, _ = checked_logits(model, few)
    weights, biases = _linear(logits, split)
    check_labels(split.labels, len(weights))
    counts, sums = np.zeros(len(weights)), np.zeros(weights.shape)
    for _, x, y in batches(split, _BATCH):
        found, labels = logits(x).numpy(), y.numpy()
        flat = x.numpy().reshape(len(labels), -1).astype(np.float64)
        if not np.allclose(found, flat @ weights.T + biases, rtol=1e-4, atol=1e-4):
            raise InputError("model: its logits must be linear in the images")
        correct = found.argmax(axis=1) == labels
        np.add.at(counts, labels[correct], 1)
        np.add.at(sums, labels[correct], flat[correct])
    if not counts.all():
        raise InputError(f"model: classifies no example of class {counts.argmin()} correctly")
    return weights, biases, counts / split.size, sums / counts[:, None]


def _linear(logits: Logits, split: Split | Examples) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of linear logits, from their Jacobian at 0."""
    zero = tf.zeros([1, *split.images.shape[1:]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(zero)
        biases = logits(zero)
    weights = tape.jacobian(biases, zero, unconnected_gradients="zero", experimental_use_pfor=False)
    classes = biases.shape[-1]
    if isinstance(split, Split) and classes != split.num_classes:
        raise InputError(f"model: has {classes} logits, must have {split.num_classes}")
    return (
        weights.numpy().reshape(classes, -1).astype(np.float64),
        biases.numpy()[0].astype(np.float64),
    )
