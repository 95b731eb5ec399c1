"""Carlini-Wagner in l2: Adam on the distance plus a constant times the margin."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from etils import epy

from robust_sparse_tf.attacks import adam, norms
from robust_sparse_tf.attacks.base import Attack, Logits, MinimumNorm, Seed
from robust_sparse_tf.attacks.loop import Best, while_standing
from robust_sparse_tf.attacks.losses import margin, value_and_gradient
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf

# The largest tanh at which a search begins. Nearer to 1 the tanh is so flat that inputs at an end
# of the range hardly move, and the distances found are larger.
_INNER = 0.99


class Search(NamedTuple):
    """State of the search for each example's constant; float32 [batch] except for `found`."""

    constant: tf.Tensor
    failed: tf.Tensor  # the largest constant that failed
    worked: tf.Tensor  # the smallest constant that succeeded
    found: tf.Tensor  # whether the current constant has succeeded: bool [batch]

    @classmethod
    def begin(cls, constant: float, batch: tf.Tensor) -> Search:
        """The state at the start, from a given constant."""
        whole = tf.fill([batch], constant)
        return cls(whole, tf.zeros_like(whole), tf.fill([batch], tf.float32.max), whole < 0)

    def next(self) -> Search:
        """Bisects between failure and success; multiplies by ten if nothing has succeeded yet."""
        failed = tf.where(self.found, self.failed, self.constant)
        worked = tf.where(self.found, self.constant, self.worked)
        between = worked < tf.float32.max
        constant = tf.where(between, failed / 2 + worked / 2, 10 * self.constant)
        return Search(constant, failed, worked, tf.zeros_like(self.found))


class _State(NamedTuple):
    x: tf.Tensor
    labels: tf.Tensor
    w: tf.Tensor
    mean: tf.Tensor  # Adam's, of the gradient
    square: tf.Tensor  # and of its square
    steps: tf.Tensor  # of Adam, in the current search: float32 [batch]
    searches: tf.Tensor  # searches before the current one: int32 [batch]
    search: Search
    least: tf.Tensor  # loss in the current search
    before: tf.Tensor  # value of `least` at the last check
    best: Best  # by squared distance


def hinge(attack: Attack, logits: tf.Tensor, labels: tf.Tensor, confidence: float) -> tf.Tensor:
    """How far the logits are from the goal of the attack: float32 [batch], 0 if it is reached."""
    lead = margin(logits, labels)
    return tf.maximum((-lead if attack.targeted else lead) + confidence, 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarliniWagner(MinimumNorm):
    """Minimises the squared distance plus c times the margin, by Adam over w, where x is tanh(w).

    "Towards Evaluating the Robustness of Neural Networks" (Carlini and Wagner, 2017), section VI.A.
    Each example has its own constant c, which is multiplied by ten until the attack succeeds, and
    then bisected. It starts at 0.001, as in the authors' program; distances are in units of the
    clip range, so that this means the same for every range. Examples take their steps together, but
    each begins its next search when its steps are used up or its loss has stopped falling.
    """

    can_target = True

    confidence: float = option(0.0, "margin of the logits to reach", unit="logits", minimum=0)
    learning_rate: float = option(0.01, "learning rate of Adam", above=0)
    steps: int = option(1000, "maximum number of steps per search", unit="steps", minimum=1)
    binary_searches: int = option(9, "constants tried", unit="searches", minimum=1)
    initial_constant: float = option(0.001, "first constant", above=0)
    patience: int = option(
        50, "end a search when this many steps lower its loss by less than 1 %; 0: never", minimum=0
    )

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        del seed
        fooled = self.fools(model(x), labels)
        batch = tf.shape(x)[0]
        none, most = tf.zeros([batch]), tf.fill([batch], tf.float32.max)
        state = _State(
            x=x,
            labels=labels,
            w=self._to_tanh(x),
            mean=tf.zeros_like(x),
            square=tf.zeros_like(x),
            steps=none,
            searches=tf.zeros([batch], tf.int32),
            search=Search.begin(self.initial_constant, batch),
            least=most,
            before=most,
            best=Best.clean(x, fooled),
        )
        # The last step of a search only evaluates the result of the step before.
        most_steps = self.binary_searches * (self.steps + 1)
        return while_standing(lambda _, now: self._step(model, now), state, most_steps).best.x

    def _step(self, model: Logits, now: _State) -> tuple[_State, tf.Tensor]:
        width = self.high - self.low
        tanh = tf.tanh(now.w)
        adversarial = self.clip(self.low + width / 2 * (tanh + 1))
        gaps, logits, uphill = value_and_gradient(
            lambda logits, labels: hinge(self, logits, labels, self.confidence),
            model,
            adversarial,
            now.labels,
        )
        shift = (adversarial - now.x) / width
        distance = tf.reduce_sum(tf.square(shift), axis=range(1, shift.shape.rank))
        won = self.fools(logits, now.labels) & (gaps <= 0)
        search = now.search._replace(found=now.search.found | won)

        constant = norms.spread(search.constant, now.x)
        gradient = (shift + width / 2 * constant * uphill) * (1 - tanh * tanh)
        steps = now.steps + 1
        count = norms.spread(steps, now.x)
        mean, square, uphill = adam.step(now.mean, now.square, gradient, count)
        w = now.w - self.learning_rate * uphill

        least = tf.minimum(now.least, distance + search.constant * gaps)
        ended = steps > self.steps
        before = now.before
        if self.patience:
            look = steps % self.patience == 0
            ended |= look & (least > 0.99 * before)
            before = tf.where(look, least, before)

        new = now._replace(
            w=w,
            mean=mean,
            square=square,
            steps=steps,
            search=search,
            least=least,
            before=before,
            best=now.best.nearer(adversarial, distance, won),
        )
        new = tf.cond(tf.reduce_any(ended), lambda: self._restart(new, ended), lambda: new)
        return new, (new.searches == self.binary_searches) | (new.best.score == 0)

    def _restart(self, now: _State, ended: tf.Tensor) -> _State:
        """Begins the next search of the examples whose current one has ended."""
        most = tf.fill(tf.shape(ended), tf.float32.max)
        begun = now._replace(
            w=self._to_tanh(now.x),
            mean=tf.zeros_like(now.mean),
            square=tf.zeros_like(now.square),
            steps=tf.zeros_like(now.steps),
            searches=now.searches + 1,
            search=now.search.next(),
            least=most,
            before=most,
        )
        return tf.nest.map_structure(lambda one, other: norms.select(ended, one, other), begun, now)

    def _to_tanh(self, x: tf.Tensor) -> tf.Tensor:
        width = self.high - self.low
        return tf.atanh(_INNER * (2 * (x - self.low) / width - 1))
