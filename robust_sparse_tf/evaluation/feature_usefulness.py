"""How useful each feature before the last layer is to a binary classifier."""

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

_ROWS = 1000  # copies of images, one a feature, attacked at a time; bounds the memory


class Head(NamedTuple):
    """The end of a binary classifier: z = w.f + b, with class 1 where z is above 0."""

    features: keras.Model
    """From images to f: float32 [batch, features]."""
    weights: np.ndarray
    """w: float32 [features]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usefulness:
    """What each feature says of the label: float64 [features] in [-1, 1], larger is better.

    "Towards lighter adversarially robust model", part 2, after "Adversarial Examples Are Not Bugs,
    They Are Features" (Ilyas et al., 2019). With y in {0, 1} and s the sigmoid, a feature's score a
    has the usefulness E[(2y - 1)(2 s(a) - 1)]; its robust usefulness has, for each image, the
    infimum over what an attack may do to it.

    Attributes:
        weights: w, float64 [features], of any size.
        raw: of the scores f_i.
        raw_robust: the same under attack.
        weighted: of the scores w_i f_i.
        weighted_robust: the same under attack.
        normalised: of the features less their means, divided by their standard deviations, both
            over the clean images; 0 for a feature that does not vary.
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
        model: tf_keras binary classifier, sparse or not, that ends in a linear dense layer
            of two logits, or of one output and `BinaryLogits`.

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
        margins: (2y - 1) a of each image and feature, [n, features]; under attack their infima.
    """
    # As (2y - 1)(2 s(a) - 1) = tanh((2y - 1) a / 2).
    return np.tanh(np.asarray(margins, np.float64) / 2).mean(axis=0)


def usefulness(model: keras.Model, data: Data, attack: PGD = INFIMUM) -> Usefulness:
    """Measures each feature on images of two classes.

    Args:
        model: see `head`.
        data: images in the attack's range, and labels in {0, 1}; see `inputs.images_and_labels`.
        attack: the ball, and how the infimum in it is looked for; see `infima`.

    Raises:
        InputError: for a model or labels that are not of two classes.
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
    # The worst that can happen to a score whose weight is negative is that its feature grows.
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
    """The least (2y - 1) d.f(x') that is found in the ball of each image, for each d by itself.

    It starts at the image, or where `attack.random_start` says, steps down the gradient, and keeps
    the least of all that it meets, the image itself among them.

    Args:
        features: from images to f: float32 [batch, features].
        images: float32 [n, ...] in the clip range.
        signs: 2y - 1, float32 [n, 1].
        directions: d, float32 [m, features].
        attack: its ball, step size, steps and start.

    Returns:
        float32 [n, m].
    """
    count = len(directions)
    if not count:
        return np.zeros((len(images), 0), np.float32)
    size = max(1, _ROWS // count)
    found = []
    for first in range(0, len(images), size):
        x = tf.repeat(images[first : first + size], count, axis=0)  # a copy for each direction
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
    """The minimum dot product of features and a row of `towards` that is met: float32 [batch]."""

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
    """The layer whose output a symbolic tensor is, and its input."""
    # A layer that belongs to several models, as after `strip`, has several inputs.
    layer, node, _ = output._keras_history
    return layer, layer.get_input_at(node)
