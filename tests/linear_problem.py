"""Random linear classifiers, and images of which they get most right; all answers are known."""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.attacks import MinimumNorm
from robust_sparse_tf.data import Split

SHAPE = (4, 4, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactLinear(MinimumNorm):
    """A step just over the nearest boundary of a linear model, clipped or not."""

    overshoot: float = 1e-4

    def perturb(self, model, x, labels, seed):
        logits, slopes = model(x), jacobian(model)
        own = tf.gather(slopes, labels)[:, None] - slopes
        gaps = tf.gather(logits, labels, batch_dims=1)[:, None] - logits
        lengths = tf.norm(own, axis=2)
        chosen = tf.one_hot(labels, logits.shape[1], on_value=True, off_value=False)
        distances = tf.where(chosen, np.inf, gaps / lengths)
        nearest = tf.argmin(distances, axis=1)
        steps = tf.gather(distances / lengths, nearest, batch_dims=1)[:, None]
        moved = x - (1 + self.overshoot) * tf.reshape(
            steps * tf.gather(own, nearest, batch_dims=1), tf.shape(x)
        )
        return tf.where((tf.argmax(logits, axis=1) == labels)[:, None, None, None], moved, x)


def jacobian(model) -> tf.Tensor:
    """The weights of the logits: float32 [classes, entries]."""
    zero = tf.zeros([1, *SHAPE])
    rows = model(tf.reshape(tf.eye(16), [16, *SHAPE])) - model(zero)
    return tf.transpose(rows)


def model(classes: int, *, seed: int = 0, bias: float = 0.2, scaled: bool = False) -> keras.Model:
    """A linear model, with the layer "normalize" in front if scaled."""
    keras.utils.set_random_seed(seed)
    extra = dict(mean=0.3, std=0.5) if scaled else {}
    made = models.linear(SHAPE, classes, **extra)
    # The classes meet near the middle of the images, so that each has its part of them.
    middle = made(tf.fill([1, *SHAPE], 0.5))[0]
    made.layers[-1].bias.assign(bias * np.random.default_rng(seed).normal(size=classes) - middle)
    return made


def split(network: keras.Model, classes: int, *, wrong: int = 20, size: int = 300) -> Split:
    """Images labelled by the model, except the first `wrong`; as many right ones of each class."""
    rng = np.random.default_rng(1)
    images = rng.random((40 * size, *SHAPE), np.float32)
    labels = np.argmax(network(images), axis=1)
    each = [np.flatnonzero(labels == k)[: size // classes] for k in range(classes)]
    assert {len(part) for part in each} == {size // classes}
    chosen = np.concatenate([rng.integers(len(images), size=wrong), *each])
    given = labels[chosen]
    given[:wrong] = (given[:wrong] + 1) % classes
    return Split(images[chosen], given, num_classes=classes, batch_size=50)


def distances(network: keras.Model, x: np.ndarray, order: float) -> np.ndarray:
    """min_k (f_c - f_k) / ||w_c - w_k||, c the predicted class: [batch]."""
    logits, slopes = network(x).numpy(), jacobian(network).numpy()
    found = []
    for row in logits:
        c = row.argmax()
        others = [k for k in range(len(row)) if k != c]
        found.append(
            min((row[c] - row[k]) / np.linalg.norm(slopes[c] - slopes[k], order) for k in others)
        )
    return np.array(found)
