"""ZOO: Carlini-Wagner from scores only, by random coordinates."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import adam
from robust_sparse_tf.attacks.base import Logits, MinimumNorm, Seed
from robust_sparse_tf.attacks.carlini_wagner import Search, hinge
from robust_sparse_tf.attacks.loop import Best, State, while_standing
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZOO(MinimumNorm):
    """Minimises squared distance plus c times the margin by Adam on random coordinates.

    "ZOO: Zeroth Order Optimization Based Black-box Attacks to Deep Neural Networks without Training
    Substitute Models" (Chen et al., 2017), equations 5 and 6 and algorithm 2, with Adam's averages
    and step count per coordinate. Needs forward passes only. Inputs are clipped to their range.
    Constants are searched for as in `CarliniWagner`. All examples share the coordinates of a step.
    """

    can_target = True
    uses_gradients = False

    queries: int = option(100_000, "maximum forward passes per example", minimum=1)
    coordinates: int = option(128, "maximum coordinates changed per step", minimum=1)
    difference: float = option(0.001, "distance of finite differences", unit="clip ranges", above=0)
    learning_rate: float = option(0.05, "learning rate of Adam", unit="clip ranges", above=0)
    binary_searches: int = option(4, "constants tried", unit="searches", minimum=1)
    initial_constant: float = option(0.1, "first constant", above=0)
    confidence: float = option(0.0, "margin of the logits to reach", unit="logits", minimum=0)

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`; raises InputError if the queries are too few for one step."""
        entries = _entries(x)
        changed = min(self.coordinates, entries)
        # One query checks whether x itself fools, and one evaluates the last step of a search.
        steps = ((self.queries - 1) // self.binary_searches - 1) // (2 * changed + 1)
        if steps < 1:
            least = (2 * changed + 2) * self.binary_searches + 1
            raise InputError(f"queries={self.queries}: must be at least {least} here")
        batch = tf.shape(x)[0]

        def search(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, *_ = state
            constants, best = self._search(model, state, changed, steps, fold(seed, number))
            return (x, labels, constants.next(), best), best.score == 0

        clean = Best.clean(x, self.fools(model(x), labels))
        state = (x, labels, Search.begin(self.initial_constant, batch), clean)
        return while_standing(search, state, self.binary_searches)[3].x

    def _search(
        self, model: Logits, state: State, changed: int, steps: int, seed: tf.Tensor
    ) -> tuple[Search, Best]:
        """Runs one search; returns the state of the constants, and the nearest examples."""
        x, labels, constants, best = state
        entries, width = _entries(x), self.high - self.low
        start = (tf.reshape(x, [-1, entries]) - self.low) / width
        twice = tf.concat([labels, labels], axis=0)

        def margins(flat: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inner = self.clip(self.low + width * flat)
            logits = model(tf.reshape(inner, [-1, *x.shape[1:]]))
            return hinge(self, logits, labels, self.confidence), self.fools(logits, labels)

        def look(flat: tf.Tensor, best: Best, found: tf.Tensor) -> tuple[Best, tf.Tensor]:
            gaps, fooled = margins(flat, labels)
            won = fooled & (gaps <= 0)
            distance = tf.reduce_sum(tf.square(flat - start), axis=1)
            inner = tf.reshape(self.clip(self.low + width * flat), tf.shape(x))
            return best.nearer(inner, distance, won), found | won

        def step(number: tf.Tensor, now: State) -> tuple[State, None]:
            flat, mean, square, taken, best, found = now
            best, found = look(flat, best, found)
            order = tf.random.stateless_uniform([entries], fold(seed, number), alg="philox")
            places = tf.math.top_k(order, changed).indices

            def slope(place: tf.Tensor) -> tf.Tensor:
                shift = self.difference * tf.one_hot(place, entries)[None]
                gaps, _ = margins(tf.concat([flat + shift, flat - shift], axis=0), twice)
                above, below = tf.split(gaps, 2)
                return (above - below) / (2 * self.difference)

            slopes = tf.transpose(tf.map_fn(slope, places, fn_output_signature=tf.float32))
            own = 2 * tf.gather(flat - start, places, axis=1)
            gradient = own + constants.constant[:, None] * slopes
            chosen = tf.reduce_sum(tf.one_hot(places, entries), axis=0)
            whole = tf.tensor_scatter_nd_update(
                tf.zeros([entries, tf.shape(flat)[0]]), places[:, None], tf.transpose(gradient)
            )
            whole = tf.transpose(whole)
            taken = taken + chosen
            new = adam.step(mean, square, whole, tf.maximum(taken, 1.0))
            mean, square = tf.where(chosen > 0, new[0], mean), tf.where(chosen > 0, new[1], square)
            moved = flat - self.learning_rate * chosen * new[2]
            return (tf.clip_by_value(moved, 0.0, 1.0), mean, square, taken, best, found), None

        zeros = tf.zeros_like(start)
        now = (start, zeros, zeros, tf.zeros([entries]), best, constants.found)
        flat, _, _, _, best, found = while_standing(step, now, steps, skip=False)
        best, found = look(flat, best, found)
        return constants._replace(found=found), best


def _entries(x: tf.Tensor) -> int:
    return x.shape[1:].num_elements()
