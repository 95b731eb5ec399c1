"""Auto-PGD: PGD that adapts its step sizes to its progress."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.apgd_l1 import Sparse
from robust_sparse_tf.attacks.apgd_rules import Climb, Halving, Rule
from robust_sparse_tf.attacks.base import Bounded, Logits, Seed, draws_option
from robust_sparse_tf.attacks.deepfool import likeliest_others
from robust_sparse_tf.attacks.dlr import check_classes, dlr, targeted_dlr
from robust_sparse_tf.attacks.loop import Best, State, restarted, while_standing
from robust_sparse_tf.attacks.losses import averaged_logits, cross_entropy, value_and_gradient
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class APGD(Bounded):
    """PGD with momentum that sets its step sizes and returns to its best iterate by itself.

    "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free
    Attacks" (Croce and Hein, 2020), algorithm 1; the losses of its section 4. In l1 "Mind the Box:
    l1-APGD for Sparse Adversarial Attacks on Image Classifiers" (Croce and Hein, 2021), with a
    single epsilon. It starts at a random point of the ball, and stops for an example once it is
    fooled. The result is the iterate that fools, or otherwise the one with the largest loss.
    """

    can_target = True
    allowed_norms = ("linf", "l2", "l1")

    loss: str = option(
        "ce",
        "loss to increase: cross-entropy, difference-of-logits ratio, or its targeted form, which "
        "tries the likeliest classes one after the other",
        choices=("ce", "dlr", "targeted_dlr"),
    )
    steps: int = option(100, "steps of the attack", unit="steps", minimum=1)
    restarts: int = option(
        1, "number of attempts; the best result counts for each example", unit="attempts", minimum=1
    )
    target_classes: int = option(
        9, "number of most likely other classes that targeted_dlr tries", unit="classes", minimum=1
    )
    draws: int = draws_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targeted and self.loss == "targeted_dlr":
            raise InputError(
                "targeted=True: targeted_dlr chooses its targets itself; use ce or dlr"
            )

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`; examples that are already misclassified stay as they are."""
        labels = tf.convert_to_tensor(labels)
        logits = averaged_logits(model, x, self.draws)
        if self.loss != "ce":
            check_classes(self.loss, logits)
        standing = tf.where(~self.fools(logits, labels))
        x_standing, left = tf.gather_nd(x, standing), tf.gather_nd(labels, standing)
        attempt = self._each_target if self.loss == "targeted_dlr" else self._attempt
        found = restarted(self, attempt, model, x_standing, left, seed, self.restarts, self.draws)
        return tf.tensor_scatter_nd_update(x, standing, found)

    def _attempt(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        return self._climb(model, x, labels, labels, seed)[0].x

    def _each_target(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """One attempt per target class, the most likely first."""
        logits = averaged_logits(model, x, self.draws)
        tried = min(self.target_classes, logits.shape[-1] - 1)
        targets = likeliest_others(logits, labels, tried)

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, targets, best = state
            target = tf.gather(targets, number, axis=1)
            folded = fold(seed, number)
            found, fooled = self._climb(model, x, labels, target, folded)
            return (x, labels, targets, best.update(*found, fooled)), fooled

        return while_standing(step, (x, labels, targets, Best.start(x)), tried)[3].x

    def _climb(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, seed: Seed
    ) -> tuple[Best, tf.Tensor]:
        """One attempt: the best iterates, and whether they fool, bool [batch].

        Only `targeted_dlr` uses `targets`.
        """
        rule: Rule[Any] = (Sparse if self.norm == "l1" else Halving)(self, self.steps)
        start = rule.project(x, x + norms.uniform(tf.shape(x), self.norm, self.epsilon, seed))

        def step(number: tf.Tensor, state: _State) -> tuple[_State, tf.Tensor]:
            x, now = state.x, state.now

            def loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
                if self.loss == "targeted_dlr":
                    return targeted_dlr(logits, labels, state.targets)
                value = (dlr if self.loss == "dlr" else cross_entropy)(logits, labels)
                return -value if self.targeted else value

            worth, logits, gradient = value_and_gradient(loss, model, now, state.labels, self.draws)
            gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
            fooled = self.fools(logits, state.labels)
            better = fooled | (worth > state.best.score)
            best = state.best.keep(better, now, worth)
            uphill = norms.select(better, gradient, state.uphill)
            climb = Climb(number, x, now, state.before, worth, best)
            pace, again = rule.adapt(state.pace, climb)
            now = norms.select(again, best.x, now)
            gradient = norms.select(again, uphill, gradient)
            after = rule.move(pace, climb._replace(now=now), gradient)
            new = _State(x, state.labels, state.targets, after, now, best, uphill, fooled, pace)
            return new, fooled

        nothing = tf.zeros_like(x)
        unfooled = tf.zeros_like(labels, tf.bool)
        state = _State(
            x, labels, targets, start, start, Best.start(start), nothing, unfooled, rule.begin(x)
        )
        # The last step only evaluates the result of the step before.
        ended = while_standing(step, state, self.steps + 1)
        return ended.best, ended.fooled


class _State(NamedTuple):
    """State of one attempt; the first axis is that of the examples."""

    x: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor
    now: tf.Tensor
    before: tf.Tensor
    best: Best
    uphill: tf.Tensor  # gradient at the best iterate
    fooled: tf.Tensor
    pace: Any  # state of the rule
