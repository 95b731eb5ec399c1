"""How Auto-PGD steps: what its rules are told and give, and the one of linf and l2."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Bounded
from robust_sparse_tf.attacks.loop import Best

with epy.lazy_imports():
    import tensorflow as tf

MOMENTUM = 0.75  # share of the step itself in where an iterate goes
RHO = 0.75  # share of steps that must raise the loss for the step size to stay

P = TypeVar("P")


class Climb(NamedTuple):
    """An attempt at one of its steps; the examples' axis is first in all but the number."""

    number: tf.Tensor  # of the step: int32
    x: tf.Tensor  # clean inputs
    now: tf.Tensor  # iterate
    before: tf.Tensor  # the iterate before it
    worth: tf.Tensor  # loss at `now`: float32 [batch]
    best: Best  # iterate of the largest loss so far, `now` included


class Rule(Protocol[P]):
    """Where the next iterate lies; a pace, [batch] in each entry, is what it remembers."""

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """The nearest point of the ball around x and of the range; shaped as x."""

    def begin(self, x: tf.Tensor) -> P:
        """The pace of the first step from x."""

    def adapt(self, pace: P, climb: Climb) -> tuple[P, tf.Tensor]:
        """The next pace, and which examples go back to their best iterates: bool [batch]."""

    def move(self, pace: P, climb: Climb, gradient: tf.Tensor) -> tf.Tensor:
        """The next iterate from the gradient of the loss at `climb.now`; shaped as x."""


class Pace(NamedTuple):
    """What an example's next step depends on; [batch] each."""

    size: tf.Tensor  # length of the step
    halved: tf.Tensor  # bool, at the last checkpoint
    most: tf.Tensor  # largest worth at the last checkpoint
    last: tf.Tensor  # worth of the last iterate
    rises: tf.Tensor  # steps since the last checkpoint that raised the worth


class Halving:
    """Steps with momentum in linf and l2, of half the size where they do not help.

    Args:
        attack: the attack, of which the ball matters.
        steps: how many there will be.
    """

    def __init__(self, attack: Bounded, steps: int) -> None:
        self.ball = attack.ball
        # At each checkpoint the steps since the one before it, elsewhere 0.
        self.since = [0] * (steps + 1)
        points = checkpoints(steps)
        for before, point in zip(points, points[1:], strict=False):
            self.since[point] = point - before

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        return self.ball.nearest(x, adversarial)

    def begin(self, x: tf.Tensor) -> Pace:
        """Twice epsilon: the whole ball."""
        zeros = tf.zeros(tf.shape(x)[:1])
        least = tf.fill(tf.shape(x)[:1], tf.float32.min)
        size = zeros + 2 * self.ball.epsilon
        return Pace(size, tf.zeros_like(zeros, tf.bool), least, least, zeros)

    def adapt(self, pace: Pace, climb: Climb) -> tuple[Pace, tf.Tensor]:
        """At a checkpoint the paper's conditions 1 and 2, and where to go back to best."""
        most = climb.best.score
        since = tf.gather(tf.constant(self.since, tf.float32), climb.number)
        due = since > 0
        start = climb.number == 0
        # The first iterate is no rise.
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
        """Algorithm 1; the first step is without momentum."""
        x, now = climb.x, climb.now
        if self.ball.norm == "l2":
            # Gradients of a saturated loss are too small to be squared.
            largest = norms.spread(tf.maximum(norms.distance(gradient, "linf"), 1e-37), gradient)
            gradient = gradient / largest
        stepped = norms.steepest(gradient, self.ball.norm, norms.spread(pace.size, x))
        straight = self.project(x, now + stepped)
        share = tf.where(climb.number == 0, 1.0, MOMENTUM)
        after = now + share * (straight - now) + (1 - share) * (now - climb.before)
        return self.project(x, after)


def checkpoints(steps: int) -> list[int]:
    """The steps, from 0 on, at which step sizes may change: `w` of the paper."""
    # In hundredths of all steps, which unlike fractions add up exactly.
    shares = [0, 22]
    while shares[-1] <= 100:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 3, 6))
    return sorted({-(-share * steps // 100) for share in shares[:-1]})
