"""Auto-PGD in l1: sparse steps, and the projection onto the intersection of ball and clip range.

"Mind the Box: l1-APGD for Sparse Adversarial Attacks on Image Classifiers" (Croce and Hein, 2021).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.apgd_rules import Climb
from robust_sparse_tf.attacks.ball import Ball
from robust_sparse_tf.attacks.base import Bounded

with epy.lazy_imports():
    import tensorflow as tf

HALVINGS = 30  # bisection steps to float32's precision


def project(x: tf.Tensor, adversarial: tf.Tensor, ball: Ball) -> tf.Tensor:
    """Returns the nearest point that is within l1 distance epsilon of x and in the clip range.

    `Ball.project` projects and then clips, which in l1 does not give the nearest point. Here the
    difference of each entry is reduced by a common threshold and cut off at the end of the range.
    Bisection finds the threshold to float32's precision.

    Args:
        x: centre of the ball: float32 [batch, ...] from low to high.
        adversarial: any points, shaped as x.
        ball: of l1.

    Returns:
        float32, shaped as x.
    """
    difference = norms.flat(adversarial - x)
    flat = tf.reshape(x, tf.shape(difference))
    size = tf.abs(difference)
    room = tf.where(difference > 0, ball.high - flat, flat - ball.low)

    def moved(threshold: tf.Tensor) -> tf.Tensor:
        return tf.maximum(tf.minimum(size - threshold, room), 0.0)

    def fits(threshold: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(moved(threshold), axis=1, keepdims=True) <= ball.epsilon

    def halve(least: tf.Tensor, most: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (least + most) / 2
        enough = fits(middle)
        return tf.where(enough, least, middle), tf.where(enough, middle, most)

    none = tf.zeros([tf.shape(x)[0], 1])
    # If a threshold of 0 is enough, the upper end stays 0.
    largest = tf.where(fits(none), 0.0, tf.reduce_max(size, axis=1, keepdims=True))
    _, threshold = tf.while_loop(
        lambda *_: True, halve, (none, largest), maximum_iterations=HALVINGS
    )
    shift = tf.reshape(tf.sign(difference) * moved(threshold), tf.shape(x))
    # x + (high - x) can round to above high.
    return ball.clip(x + shift)


class Pace(NamedTuple):
    """State of the step size per example; float32 [batch] each."""

    size: tf.Tensor  # l1 length of the step
    entries: tf.Tensor  # number of entries it changes


class Sparse:
    """Steps along the largest entries of the gradient; the best iterate decides how many.

    The variant of the paper with a single epsilon, without momentum. An `apgd_rules.Rule`.

    Args:
        attack: the attack, for its ball.
        steps: number of steps.
    """

    def __init__(self, attack: Bounded, steps: int) -> None:
        self.ball = attack.ball
        self.every = max(math.ceil(0.04 * steps), 1)

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        return project(x, adversarial, self.ball)

    def begin(self, x: tf.Tensor) -> Pace:
        """The first pace: a fifth of the entries."""
        one = tf.ones(tf.shape(x)[:1])
        entries = tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float32)
        return Pace(one * self.ball.epsilon, one * tf.maximum(tf.floor(entries / 5), 1.0))

    def adapt(self, pace: Pace, climb: Climb) -> tuple[Pace, tf.Tensor]:
        """Fewer entries: back to the best iterate, with long steps. Otherwise shorter steps."""
        due = (climb.number > 0) & (climb.number % self.every == 0)
        change = climb.best.x - climb.x
        changed = tf.math.count_nonzero(norms.flat(change), axis=1)
        entries = tf.maximum(tf.floor(tf.cast(changed, tf.float32) / 1.5), 1.0)
        sparser = due & (entries <= 0.95 * pace.entries)
        whole = self.ball.epsilon
        size = tf.where(sparser, whole, tf.maximum(pace.size / 1.5, whole / 10))
        new = Pace(tf.where(due, size, pace.size), tf.where(due, entries, pace.entries))
        return new, sparser

    def move(self, pace: Pace, climb: Climb, gradient: tf.Tensor) -> tf.Tensor:
        """A step of equal size along the signs of the largest entries."""
        x = climb.x
        flat = norms.flat(gradient)
        ordered = tf.sort(tf.abs(flat), axis=1, direction="DESCENDING")
        last = tf.cast(pace.entries, tf.int32) - 1
        least = tf.gather(ordered, last[:, None], axis=1, batch_dims=1)
        signs = tf.reshape(tf.where(tf.abs(flat) >= least, tf.sign(flat), 0.0), tf.shape(x))
        length = tf.maximum(norms.distance(signs, "l1"), 1.0)
        return self.project(x, climb.now + norms.spread(pace.size / length, x) * signs)
