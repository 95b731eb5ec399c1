"""Distances, balls and steps in linf, l2 and l1, over all axes except the first."""

from __future__ import annotations

import numpy as np
from etils import epy

with epy.lazy_imports():
    import tensorflow as tf
    from cleverhans.tf2 import utils as cleverhans

from robust_sparse_tf.attacks.seeds import Seed, as_seed

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
NAMES = tuple(ORDERS)
DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}


def distance(difference: tf.Tensor, norm: str) -> tf.Tensor:
    """The norm of each example's difference: float32 [batch] from [batch, ...]."""
    return tf.norm(flat(difference), ORDERS[norm], axis=1)


def project(difference: tf.Tensor, norm: str, epsilon: float | tf.Tensor) -> tf.Tensor:
    """Projects onto the ball of radius epsilon around 0; the shape stays.

    In linf and l2 by CleverHans; in l1 by sorting, "Efficient Projections onto the l1-Ball for
    Learning in High Dimensions" (Duchi et al., 2008), figure 1.
    """
    if norm != "l1":
        return cleverhans.clip_eta(difference, ORDERS[norm], epsilon)
    vectors = flat(difference)
    sizes = tf.abs(vectors)
    ordered = tf.sort(sizes, axis=1, direction="DESCENDING")
    places = tf.range(1, tf.shape(vectors)[1] + 1, dtype=vectors.dtype)
    excess = (tf.cumsum(ordered, axis=1) - epsilon) / places
    kept = tf.reduce_sum(tf.cast(ordered > excess, tf.int32), axis=1, keepdims=True)
    threshold = tf.gather(excess, tf.maximum(kept - 1, 0), axis=1, batch_dims=1)
    inside = tf.reduce_sum(sizes, axis=1, keepdims=True) <= epsilon
    shrunk = tf.sign(vectors) * tf.maximum(sizes - tf.maximum(threshold, 0.0), 0.0)
    return tf.reshape(tf.where(inside, vectors, shrunk), tf.shape(difference))


def steepest(gradient: tf.Tensor, norm: str, size: float | tf.Tensor) -> tf.Tensor:
    """The step of a given size that raises a linear function most, by CleverHans."""
    return cleverhans.optimize_linear(
        _near_one(gradient) if norm == "l2" else gradient, size, ORDERS[norm]
    )


def _near_one(gradient: tf.Tensor) -> tf.Tensor:
    """Scales gradients so that their largest entries are in [1, 2); directions stay.

    CleverHans raises lengths below 1e-6 to 1e-6. Gradients of confident models are shorter, so that
    their steps would be too short.
    """
    return gradient * to_one(gradient)


def to_one(gradient: tf.Tensor) -> tf.Tensor:
    """The power of 2 that brings each largest entry into [1, 2), without rounding."""
    axes = list(range(1, gradient.shape.rank))
    largest = tf.reduce_max(tf.abs(gradient), axes, keepdims=True)
    exponent = tf.math.floor(tf.math.log(largest) / tf.math.log(2.0))
    return tf.pow(2.0, -tf.clip_by_value(exponent, -126.0, 126.0))


def uniform(shape: tf.Tensor, norm: str, epsilon: float, seed: Seed) -> tf.Tensor:
    """Uniform random points of the ball; the same on every device.

    In l2 and l1: a direction from normal or Laplace numbers, times a radius, "Uniform Sample
    Generation in lp Balls for Probabilistic Robustness Analysis" (Calafiore et al., 1998).
    """
    if norm == "linf":
        return tf.random.stateless_uniform(
            shape, seed, minval=-epsilon, maxval=epsilon, alg="philox"
        )
    seed = as_seed(seed)
    batch, entries = shape[0], tf.reduce_prod(shape[1:])
    if norm == "l2":
        direction = tf.random.stateless_normal([batch, entries], seed, alg="philox")
    else:
        size = tf.random.stateless_uniform([batch, entries], seed, minval=1e-12, alg="philox")
        sign = tf.random.stateless_uniform([batch, entries], seed + [0, 2**20], alg="philox")
        direction = -tf.math.log(size) * tf.sign(sign - 0.5)
    radius = tf.random.stateless_uniform([batch, 1], seed + [0, 2**21], alg="philox")
    radius **= 1 / tf.cast(entries, tf.float32)
    length = tf.norm(direction, ORDERS[norm], axis=1, keepdims=True)
    return tf.reshape(epsilon * radius * direction / length, shape)


def spread(numbers: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Reshapes one number per example, [batch], to broadcast over [batch, ...]."""
    return tf.reshape(numbers, [-1] + [1] * (like.shape.rank - 1))


def select(chosen: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Selects, for each example, the first or the second by bool [batch]; [batch, ...]."""
    return tf.where(spread(chosen, one), one, other)


def flat(value: tf.Tensor) -> tf.Tensor:
    """Flattens examples: [batch, entries] from [batch, ...]."""
    value = tf.convert_to_tensor(value)
    return tf.reshape(value, [-1, value.shape[1:].num_elements()])
