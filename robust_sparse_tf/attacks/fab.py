"""FAB, the fast adaptive boundary attack."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Logits, MinimumNorm, Seed
from robust_sparse_tf.attacks.deepfool import (
    ROUNDING,
    likeliest_others,
    nearest_boundary,
)
from robust_sparse_tf.attacks.loop import Best, State, while_standing
from robust_sparse_tf.attacks.losses import margin, value_and_gradient
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf

# Bisection steps between the input and its adversarial example: to a thousandth of the way.
SEARCHES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class FAB(MinimumNorm):
    """Steps to the linearized boundary, biased towards its point nearest to the input.

    "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack" (Croce and Hein,
    2020), algorithm 1, with a binary search in place of its final search by secants. With
    `target_classes` it is FAB-T of "Reliable Evaluation of Adversarial Robustness with an Ensemble
    of Diverse Parameter-free Attacks" (Croce and Hein, 2020): one backward pass per step instead of
    one per class.
    """

    allowed_norms = ("linf", "l2", "l1")

    norm: str = option("linf", "norm of the distance", choices=norms.NAMES)
    steps: int = option(100, "steps per attempt", unit="steps", minimum=1)
    restarts: int = option(1, "number of attempts, per target class if there are any", minimum=1)
    epsilon: float = option(
        0.3,
        "attempts after the first start at random within half of min(epsilon, smallest distance "
        "found)",
        unit="input units",
        minimum=0,
    )
    target_classes: int = option(
        0,
        "number of likeliest other classes to target in turn; 0: always the nearest class",
        minimum=0,
    )
    candidates: int = option(
        10, "number of likeliest classes searched for the nearest, the label included", minimum=2
    )
    alpha_max: float = option(
        0.1, "maximum weight of the input's own projection in a step", minimum=0, maximum=1
    )
    eta: float = option(1.05, "factor by which steps overshoot projections", minimum=1)
    beta: float = option(
        0.9, "fraction of the distance that remains after a step back", above=0, maximum=1
    )
    stop_within: float = option(
        0.0,
        "distance that is small enough to stop the search",
        unit="input units",
        minimum=0,
    )

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        inner = x.shape[1:]

        def flat_model(flat: tf.Tensor) -> tf.Tensor:
            return model(tf.reshape(flat, [-1, *inner]))

        flat = norms.flat(x)
        logits = flat_model(flat)
        goals = min(max(self.target_classes, 1), logits.shape[-1] - 1)

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            flat, labels, targets, best = state
            start = self._start(flat, best.score, number // goals, number, seed)
            target = tf.gather(targets, number % goals, axis=1)
            best = self._attempt(flat_model, flat, labels, target, start, best)
            return (flat, labels, targets, best), best.score <= self.stop_within

        clean = Best.clean(flat, self.fools(logits, labels))
        first = (flat, labels, likeliest_others(logits, labels, goals), clean)
        best = while_standing(step, first, goals * self.restarts)[3].x
        return tf.reshape(self._nearer(flat_model, flat, labels, best), tf.shape(x))

    def _start(
        self, x: tf.Tensor, least: tf.Tensor, attempt: tf.Tensor, number: tf.Tensor, seed: Seed
    ) -> tf.Tensor:
        """The start of an attempt: first the input itself, later a random point near it."""
        seed = fold(seed, number)
        noise = norms.uniform(tf.shape(x), self.norm, 1.0, seed)
        radius = tf.where(attempt == 0, 0.0, tf.minimum(least, self.epsilon) / 2)
        return self.clip(x + radius[:, None] * noise)

    def _attempt(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        targets: tf.Tensor,
        start: tf.Tensor,
        best: Best,
    ) -> Best:
        """The nearest adversarial examples so far, and their distances, after one attempt."""

        def step(_: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, targets, now, best = state
            moved = self._move(model, x, labels, targets, now)
            distance = norms.distance(moved - x, self.norm)
            fooled = self.fools(model(moved), labels)
            best = best.nearer(moved, distance, fooled)
            now = norms.select(fooled, (1 - self.beta) * x + self.beta * moved, moved)
            return (x, labels, targets, now, best), best.score <= self.stop_within

        return while_standing(step, (x, labels, targets, start, best), self.steps)[4]

    def _move(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        targets: tf.Tensor,
        now: tf.Tensor,
    ) -> tf.Tensor:
        """One step of the algorithm, without the backward step."""
        gap, gradient = self._boundary(model, now, labels, targets)
        gap_of_x = gap + tf.reduce_sum(gradient * (now - x), axis=1)
        from_now = to_plane(now, gradient, gap, self.norm, self.limits)
        from_x = to_plane(x, gradient, gap_of_x, self.norm, self.limits)
        length_now = norms.distance(from_now, self.norm)
        length_x = norms.distance(from_x, self.norm)
        alpha = tf.math.divide_no_nan(length_now, length_now + length_x)
        alpha = tf.minimum(alpha, self.alpha_max)[:, None]
        return self.clip(
            (1 - alpha) * (now + self.eta * from_now) + alpha * (x + self.eta * from_x)
        )

    def _boundary(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """By how much the label's logit exceeds the other class's, and the gradient against it."""
        if not self.target_classes:
            gap, gradient, _ = nearest_boundary(model, x, labels, self.candidates, self.norm)
            return gap, gradient

        def lead(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            other = tf.gather(logits, targets, batch_dims=1)
            return other - tf.gather(logits, labels, batch_dims=1)

        led, _, gradient = value_and_gradient(lead, model, x, labels)
        return -led, gradient

    def _nearer(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, found: tf.Tensor
    ) -> tf.Tensor:
        """The point where the class changes, between the input and the adversarial example.

        The margin is larger than rounding errors, so that the example fools in any batch.
        """

        def step(_: tf.Tensor, state: State) -> tuple[State, None]:
            low, high = state
            middle = (low + high) / 2
            logits = model(self.clip(x + middle[:, None] * (found - x)))
            tiny = ROUNDING * tf.reduce_max(tf.abs(logits), axis=1)
            fooled = margin(logits, labels) < -tiny
            return (tf.where(fooled, low, middle), tf.where(fooled, middle, high)), None

        zero = tf.zeros_like(x[:, 0])
        share = while_standing(step, (zero, zero + 1), SEARCHES, skip=False)[1][:, None]
        return tf.where(share < 1, self.clip(x + share * (found - x)), found)


def to_plane(
    x: tf.Tensor, gradient: tf.Tensor, gap: tf.Tensor, norm: str, limits: tuple[float, float]
) -> tf.Tensor:
    """The smallest change that raises a linear function by a given gap, within the limits.

    If the range is too small for that, the change goes to its farthest corner. The result is exact,
    not iterated to a tolerance: in linf and l2 by Newton's method, where each step fixes at least
    one more coordinate at the end of its range (a few steps; sorting all coordinates takes four
    times as long); in l1 by sorting.

    Args:
        x: float32 [batch, entries] within the limits.
        gradient: of the linear functions: float32 [batch, entries].
        gap: by how much to raise them, or to lower them if negative: float32 [batch].
        norm: norm of the change.
        limits: minimum and maximum value of an entry.

    Returns:
        float32 [batch, entries].
    """
    low, high = limits
    uphill = gradient * tf.sign(gap)[:, None]
    gap = tf.abs(gap)
    slopes, room = tf.abs(uphill), tf.where(uphill > 0, high - x, x - low)
    if norm == "l1":
        return tf.sign(uphill) * _steepest_first(slopes, room, gap)
    rates = tf.ones_like(slopes) if norm == "linf" else slopes
    return tf.sign(uphill) * tf.minimum(_time(slopes, rates, room, gap) * rates, room)


def _time(slopes: tf.Tensor, rates: tf.Tensor, room: tf.Tensor, gap: tf.Tensor) -> tf.Tensor:
    """The time at which the sum of slopes * min(time * rates, room) reaches the gap: [batch, 1].

    The sum is concave in the time, so that Newton's steps from 0 never overshoot.
    """

    def step(time: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        stopped = time * rates >= room
        reached = tf.reduce_sum(tf.where(stopped, slopes * room, 0.0), axis=1, keepdims=True)
        speed = tf.reduce_sum(tf.where(stopped, 0.0, slopes * rates), axis=1, keepdims=True)
        later = tf.where(speed > 0, (gap[:, None] - reached) / speed, 1e30)
        later = tf.maximum(later, time)
        return later, tf.reduce_any(later > time)

    start = (tf.zeros_like(room[:, :1]), tf.constant(True))
    return tf.while_loop(lambda _, rises: rises, step, start)[0]


def _steepest_first(slopes: tf.Tensor, room: tf.Tensor, gap: tf.Tensor) -> tf.Tensor:
    """Changes that use up the room of the largest slopes until the gap is reached."""
    order = tf.argsort(slopes, axis=1, direction="DESCENDING")
    slopes, room = (tf.gather(value, order, batch_dims=1) for value in (slopes, room))
    lacking = gap[:, None] - tf.cumsum(slopes * room, axis=1, exclusive=True)
    change = tf.clip_by_value(tf.math.divide_no_nan(lacking, slopes), 0.0, room)
    return tf.gather(change, tf.argsort(order, axis=1), batch_dims=1)
