"""Step rules of Auto-PGD: their interface, and the rule for linf and l2."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Bounded
from robust_sparse_tf.attacks.loop import Best

with epy.lazy_imports():
    import tensorflow as tf

MOMENTUM = 0.75  # weight of the gradient step; momentum has the rest
RHO = 0.75  # fraction of steps that must increase the loss for the step size to stay

P = TypeVar("P")


class Climb(NamedTuple):
    """State of an attempt at one step; the first axis of tensors is that of the examples."""

    number: tf.Tensor  # number of the step: int32
    x: tf.Tensor  # clean inputs
    now: tf.Tensor  # iterate
    before: tf.Tensor  # the iterate before it
    worth: tf.Tensor  # loss at `now`: float32 [batch]
    best: Best  # iterate with the largest loss so far, `now` included


class Rule(Protocol[P]):
    """Computes the next iterate; its state is a "pace", whose entries are [batch]."""

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """Projects onto the ball around x and the clip range; shaped as x."""

    def begin(self, x: tf.Tensor) -> P:
        """Returns the pace of the first step from x."""

    def adapt(self, pace: P, climb: Climb) -> tuple[P, tf.Tensor]:
        """Returns the next pace, and bool [batch], which examples return to their best iterates."""

    def move(self, pace: P, climb: Climb, gradient: tf.Tensor) -> tf.Tensor:
        """Returns the next iterate, from the gradient of the loss at `climb.now`; shaped as x."""


class Pace(NamedTuple):
    """State of the step size per example; [batch] each."""

    size: tf.Tensor  # step size
    halved: tf.Tensor  # bool: whether the last checkpoint reduced the step size
    most: tf.Tensor  # largest worth at the last checkpoint
    last: tf.Tensor  # worth of the last iterate
    rises: tf.Tensor  # steps since the last checkpoint that raised the worth


class Halving:
    """Steps with momentum in linf and l2; the step size is halved when progress stalls.

    Args:
        attack: the attack, of which the ball matters.
        steps: how many there will be.
    """

    def __init__(self, attack: Bounded, steps: int) -> None:
        self.ball = attack.ball
        # At each checkpoint, the number of steps since the previous one; elsewhere 0.
        self.since = [0] * (steps + 1)
        points = checkpoints(steps)
        for before, point in zip(points, points[1:], strict=False):
            self.since[point] = point - before

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        return self.ball.nearest(x, adversarial)

    def begin(self, x: tf.Tensor) -> Pace:
        """The first pace: twice epsilon, the diameter of the ball."""
        zeros = tf.zeros(tf.shape(x)[:1])
        least = tf.fill(tf.shape(x)[:1], tf.float32.min)
        size = zeros + 2 * self.ball.epsilon
        return Pace(size, tf.zeros_like(zeros, tf.bool), least, least, zeros)

    def adapt(self, pace: Pace, climb: Climb) -> tuple[Pace, tf.Tensor]:
        """Applies conditions 1 and 2 of the paper at checkpoints."""
        most = climb.best.score
        since = tf.gather(tf.constant(self.since, tf.float32), climb.number)
        due = since > 0
        start = climb.number == 0
        # The first iterate does not count as an increase.
        risen = tf.cast(climb.worth > pace.last, tf.float32)
        rises = tf.where(start, 0.0, pace.rises + risen)
        stuck = ~pace.halved & (most == pace.most)
        halve = due & ((rises < RHO * since) | stuck)
        new = Pace(
            tf.where(halve, pace.size / 2, pace.size),
            tf.where(due, halve, pace.halved),
            tf.where(due | start, most, pace.most),
            tf.where(halve, most, climb.worth),
            tf.where(due, 0.0, rises),
        )
        return new, halve

    def move(self, pace: Pace, climb: Climb, gradient: tf.Tensor) -> tf.Tensor:
        """The step of algorithm 1; the first one has no momentum."""
        x, now = climb.x, climb.now
        if self.ball.norm == "l2":
            # The squares of the gradients of a saturated loss would underflow.
            largest = norms.spread(tf.maximum(norms.distance(gradient, "linf"), 1e-37), gradient)
            gradient = gradient / largest
        stepped = norms.steepest(gradient, self.ball.norm, norms.spread(pace.size, x))
        straight = self.project(x, now + stepped)
        share = tf.where(climb.number == 0, 1.0, MOMENTUM)
        after = now + share * (straight - now) + (1 - share) * (now - climb.before)
        return self.project(x, after)


def checkpoints(steps: int) -> list[int]:
    """The steps, from 0, at which step sizes may change: `w` in the paper."""
    # In hundredths of all steps: whole numbers add up exactly.
    shares = [0, 22]
    while shares[-1] <= 100:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 3, 6))
    return sorted({-(-share * steps // 100) for share in shares[:-1]})
