"""Usefulness of each feature before the last layer of a binary classifier."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.attacks.precision import Float32, is_half
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import Data, images_and_labels, unwrapped
from robust_sparse_tf.models.layers import BinaryLogits
from robust_sparse_tf.options import require
from robust_sparse_tf.tensors import check_shape

INFIMUM = PGD(epsilon=0.3, step_size=0.01, steps=3)
"""The paper's search for the minimum value of a feature."""

_ROWS = 1000  # copies of images, one per feature, attacked at a time; limits the memory


class Head(NamedTuple):
    """The head of a binary classifier: z = w.f + b, class 1 if z > 0."""

    features: keras.Model
    """Function from images to f: float32 [batch, features]."""
    weights: np.ndarray
    """w: float32 [features]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usefulness:
    """Usefulness of each feature for the label: float64 [features] in [-1, 1]; larger is better.

    "Towards lighter adversarially robust model", part 2, after "Adversarial Examples Are Not Bugs,
    They Are Features" (Ilyas et al., 2019). With y in {0, 1} and s the sigmoid, the usefulness of a
    feature with score a is E[(2y - 1)(2 s(a) - 1)]; robust usefulness takes, for each image, the
    infimum over its adversarial examples.

    Attributes:
        weights: w, float64 [features], of any range.
        raw: usefulness of the scores f_i.
        raw_robust: the same under attack.
        weighted: usefulness of the scores w_i f_i.
        weighted_robust: the same under attack.
        normalised: usefulness of the features minus their means, divided by their standard
            deviations, both over the clean images; 0 for a constant feature.
        normalised_robust: the same under attack.
    """

    weights: np.ndarray
    raw: np.ndarray
    raw_robust: np.ndarray
    weighted: np.ndarray
    weighted_robust: np.ndarray
    normalised: np.ndarray
    normalised_robust: np.ndarray


def head(model: keras.Model) -> Head:
    """The features before the last layer, and their weights.

    Args:
        model: tf_keras binary classifier, sparse or not, that ends in a linear dense layer of two
            logits, or of one output followed by `BinaryLogits`.

    Raises:
        InputError: for any other model.
    """
    network = unwrapped(model)
    last, features = _last_layer(network.output)
    if isinstance(last, BinaryLogits):
        last, features = _last_layer(features)
    if not isinstance(last, keras.layers.Dense) or network.output_shape[-1] != 2:
        raise InputError(
            f"model {network.name}: has no features to measure; must end in a dense layer, and "
            "have two classes"
        )
    kernel = last.kernel.numpy().astype(np.float32)
    weights = kernel[:, -1] - (kernel[:, 0] if last.units == 2 else 0)
    return Head(keras.Model(network.inputs, features), weights)


def measure(margins: np.ndarray) -> np.ndarray:
    """The usefulness of features: float64 [features].

    Args:
        margins: (2y - 1) a per image and feature, [n, features]; under attack, their infima.
    """
    # Because (2y - 1)(2 s(a) - 1) = tanh((2y - 1) a / 2).
    return np.tanh(np.asarray(margins, np.float64) / 2).mean(axis=0)


def usefulness(model: keras.Model, data: Data, attack: PGD = INFIMUM) -> Usefulness:
    """Measures the usefulness of each feature on images of two classes.

    Args:
        model: see `head`.
        data: images in the attack's range, and labels in {0, 1}; see `inputs.images_and_labels`.
        attack: the ball, and the search for the infimum in it; see `infima`.

    Raises:
        InputError: if model or labels do not have two classes.
    """
    require("attack", attack, PGD)
    features, weights = head(model)
    images, labels = images_and_labels(data, attack.limits)
    check_shape(images, features.input_shape)
    if labels.min() < 0 or labels.max() > 1:
        raise InputError(f"labels from {labels.min()} to {labels.max()}: must be 0 or 1")
    signs = (2 * labels - 1).astype(np.float32)[:, None]
    clean = features.predict(images, batch_size=_ROWS, verbose=0).astype(np.float32)
    scores = Float32(features, half=is_half(features))
    each = np.eye(len(weights), dtype=np.float32)
    low = infima(scores, images, signs, each, attack)
    weighted, falling = weights * low, weights < 0
    # If a weight is negative, the worst case is that its feature grows.
    weighted[:, falling] = -weights[falling] * infima(scores, images, signs, -each[falling], attack)
    mean, std = clean.mean(axis=0), clean.std(axis=0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    return Usefulness(
        weights=weights.astype(np.float64),
        raw=measure(signs * clean),
        raw_robust=measure(low),
        weighted=measure(signs * weights * clean),
        weighted_robust=measure(weighted),
        normalised=measure(signs * (clean - mean) * scale),
        normalised_robust=measure((low - signs * mean) * scale),
    )


def infima(
    features: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    signs: np.ndarray,
    directions: np.ndarray,
    attack: PGD = INFIMUM,
) -> np.ndarray:
    """The minimum (2y - 1) d.f(x') found in the ball of each image, for each d separately.

    The search starts at the image, or at random with `attack.random_start`, descends along the
    gradient, and keeps the minimum over all iterates, the image included.

    Args:
        features: from images to f: float32 [batch, features].
        images: float32 [n, ...] in the clip range.
        signs: 2y - 1, float32 [n, 1].
        directions: d, float32 [m, features].
        attack: sets ball, step size, steps and start.

    Returns:
        float32 [n, m].
    """
    count = len(directions)
    if not count:
        return np.zeros((len(images), 0), np.float32)
    size = max(1, _ROWS // count)
    found = []
    for first in range(0, len(images), size):
        x = tf.repeat(images[first : first + size], count, axis=0)  # one copy per direction
        towards = signs[first : first + size, None] * directions
        towards = tf.reshape(towards, [-1, directions.shape[1]])
        lowest = _lowest(features, x, towards, attack, tf.constant([0, first]))
        found.append(tf.reshape(lowest, [-1, count]).numpy())
    return np.concatenate(found)


def _lowest(
    features: Callable[[tf.Tensor], tf.Tensor],
    x: tf.Tensor,
    towards: tf.Tensor,
    attack: PGD,
    seed: tf.Tensor,
) -> tf.Tensor:
    """The minimum, over iterates, of features times a row of `towards`: float32 [batch]."""

    def margins(at: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(towards * features(at), axis=1)

    at, lowest = x, margins(x)
    noise = attack.noise(tf.shape(x), seed)
    if noise is not None:
        at = attack.project(x, x + noise)
    for _ in range(attack.steps):
        with tf.GradientTape() as tape:
            tape.watch(at)
            found = margins(at)
        down = -tape.gradient(found, at)
        at = attack.project(x, attack.step_along(at, down, attack.step_length))
        lowest = tf.minimum(lowest, found)
    return tf.minimum(lowest, margins(at))


def _last_layer(output: tf.Tensor) -> tuple[keras.layers.Layer, tf.Tensor]:
    """The layer that made a symbolic tensor, and the layer's input."""
    # After `strip`, for example, a layer belongs to several models and has several inputs.
    layer, node, _ = output._keras_history
    return layer, layer.get_input_at(node)
