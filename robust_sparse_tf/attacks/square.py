"""Square: random search with squares, from scores only."""

from __future__ import annotations

import dataclasses

import numpy as np
from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Bounded, Logits, Seed
from robust_sparse_tf.attacks.loop import Best, State, restarted, while_standing
from robust_sparse_tf.attacks.losses import cross_entropy, margin
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf

# Queries of 10,000 at which the fraction of entries that a square covers is halved.
_HALVED_AT = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)
_TILES = 5
_TINY = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(Bounded):
    """Changes one random square of the perturbation at a time, if that lowers the margin.

    "Square Attack: a query-efficient black-box adversarial attack via random search"
    (Andriushchenko et al., 2020), algorithms 1, 2 (linf) and 3 (l2), with the paper's schedule,
    scaled to the queries; a targeted attack lowers the cross-entropy. Needs forward passes only:
    `queries` per attempt, and one more for x itself. Inputs are images [height, width, channels];
    others are treated as columns of one channel.
    """

    can_target = True
    uses_gradients = False
    allowed_norms = ("linf", "l2")

    queries: int = option(5000, "maximum forward passes per example", minimum=1)
    p_init: float = option(
        0.8, "fraction of the entries that a square covers at first", above=0, maximum=1
    )
    restarts: int = option(
        1, "number of attempts; the best result counts for each example", unit="attempts", minimum=1
    )

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        return restarted(self, self._attempt, model, x, labels, seed, self.restarts)

    def _attempt(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        inner = x.shape[1:]
        image = inner.as_list() if inner.rank == 3 else [inner.num_elements(), 1, 1]
        batch = tf.shape(x)[0]

        def score(flat: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = model(tf.reshape(flat, [-1, *inner]))
            losses = (cross_entropy if self.targeted else margin)(logits, labels)
            return losses, self.fools(logits, labels)

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, place, best, fooled = state
            # Drawn for the whole batch, so that an example's numbers do not depend on which others
            # are left.
            fresh = fold(seed, number + 1)
            numbers = tf.random.stateless_uniform([batch, 5 + image[2]], fresh, alg="philox")
            new = self._propose(x, best.x, tf.gather(numbers, place), self._side(number, image))
            new_losses, won = score(new, labels)
            best = best.keep(~fooled & (won | (new_losses < best.score)), new, new_losses)
            return (x, labels, place, best, fooled | won), fooled | won

        fooled = score(x, labels)[1]
        x = tf.reshape(x, [-1, *image])
        now = norms.select(fooled, x, self.project(x, x + self._first(batch, image, seed)))
        losses, won = score(now, labels)
        state = (x, labels, tf.range(batch), Best(now, losses), fooled | won)
        return tf.reshape(while_standing(step, state, self.queries - 1)[3].x, [-1, *inner])

    def _side(self, number: tf.Tensor, image: list[int]) -> tf.Tensor:
        """Side of the square at a step, int32: at least 1; in l2 odd and at least 3."""
        done = tf.cast(number + 1, tf.float32) * (10_000 / self.queries)
        halvings = tf.reduce_sum(tf.cast(done > tf.constant(_HALVED_AT, tf.float32), tf.float32))
        area = self.p_init * 0.5**halvings * image[0] * image[1]
        side = tf.cast(tf.round(area if image[1] == 1 else tf.sqrt(area)), tf.int32)
        if self.norm == "linf":
            return tf.maximum(side, 1)
        side = tf.maximum(side, 3)
        return side + tf.cast(side % 2 == 0, tf.int32)

    def _first(self, batch: tf.Tensor, image: list[int], seed: Seed) -> tf.Tensor:
        """The initial perturbation: vertical stripes in linf, a grid of bumps in l2."""
        height, width, channels = image
        if self.norm == "linf":
            # In a column, stripes have one entry, so that rows are drawn at random instead.
            stripes = [height, 1] if width == 1 else [1, width]
            signs = _signs([batch, *stripes, channels], seed)
            return self.epsilon * signs * tf.ones([1, height, width, 1])
        rows, columns = max(height // _TILES, 1), max(width // _TILES, 1)
        tile = _bump(tf.range(rows)[:, None], tf.range(columns)[None], rows, columns)
        down, across = min(height, _TILES), min(width, _TILES)
        numbers = _signs([batch, down, across, channels], seed)
        bumps = tf.repeat(tf.repeat(numbers, rows, axis=1), columns, axis=2)
        bumps *= tf.tile(tile, [down, across])[None, :, :, None]
        rest = [height - down * rows, width - across * columns]
        sides = [[0, 0], *([r // 2, r - r // 2] for r in rest), [0, 0]]
        bumps = tf.pad(bumps, sides)
        return self.epsilon * bumps / norms.spread(norms.distance(bumps, "l2"), bumps)

    def _propose(
        self, x: tf.Tensor, now: tf.Tensor, numbers: tf.Tensor, side: tf.Tensor
    ) -> tf.Tensor:
        """The next candidates, within the threat model, from [n, 5 + channels] of [0, 1)."""
        signs = tf.where(numbers[:, None, None, 5:] < 0.5, -1.0, 1.0)
        high, wide = (tf.minimum(side, size) for size in x.shape[1:3])
        first = _Window(x, numbers[:, 0], numbers[:, 1], high, wide)
        if self.norm == "linf":
            return self.clip(tf.where(first.inside, x + self.epsilon * signs, now))
        second = _Window(x, numbers[:, 2], numbers[:, 3], high, wide)
        one, two = tf.cast(first.inside, tf.float32), tf.cast(second.inside, tf.float32)
        both = tf.maximum(one, two)
        shift = now - x
        unused = self.epsilon**2 - tf.reduce_sum(tf.square(shift), axis=[1, 2, 3], keepdims=True)

        upright = first.pair(first.row, first.column, high, wide)
        lying = first.pair(first.column, first.row, wide, high)
        pair = tf.where(numbers[:, 4, None, None] < 0.5, upright, lying)
        pair = tf.where(first.inside[..., 0], pair, 0.0)[..., None]
        mixed = signs * pair / _length(pair) + one * shift / _length(one * shift)
        room = _length(both * shift) ** 2 + tf.maximum(unused, 0.0) / x.shape[3]
        moved = shift * (1 - both) + one * mixed / _length(mixed) * tf.sqrt(room)
        return self.project(x, x + moved)


class _Window:
    """A window at a random place of each example; `row` and `column` count from its corner."""

    def __init__(
        self, x: tf.Tensor, down: tf.Tensor, across: tf.Tensor, high: tf.Tensor, wide: tf.Tensor
    ) -> None:
        self.row = self._places(x.shape[1], down, high)[:, :, None]
        self.column = self._places(x.shape[2], across, wide)[:, None, :]
        rows, columns = (self.row >= 0) & (self.row < high), self.column >= 0
        self.inside = (rows & columns & (self.column < wide))[..., None]

    @staticmethod
    def _places(size: int, number: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        free = tf.cast(size - side + 1, tf.float32)
        corner = tf.cast(number * free, tf.int32)
        # A number just below 1 may be rounded up.
        return tf.range(size) - tf.minimum(corner, size - side)[:, None]

    @staticmethod
    def pair(along: tf.Tensor, other: tf.Tensor, length: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        """A bump on the first half of a window, and its negative on the second: equation 3."""
        half = length // 2
        upper = _bump(along, other, half, side)
        return tf.where(along < half, upper, -_bump(along - half, other, length - half, side))


def _bump(row: tf.Tensor, column: tf.Tensor, high: tf.Tensor, wide: tf.Tensor) -> tf.Tensor:
    """Equation 2: sums of 1 / k^2, largest in the middle of a rectangle of any size."""
    most = tf.maximum(high, wide) // 2
    ring = tf.maximum(tf.abs(row - high // 2), tf.abs(column - wide // 2))
    known = 1 + max(_static(row), _static(column))
    sums = tf.constant(np.cumsum([0.0, *(1 / np.arange(1, known + 1) ** 2)]), tf.float32)
    return tf.gather(sums, most + 1) - tf.gather(sums, tf.minimum(ring, most))


def _static(places: tf.Tensor) -> int:
    return places.shape[1:].num_elements() if places.shape.rank > 2 else places.shape.num_elements()


def _signs(shape: list[int], seed: Seed) -> tf.Tensor:
    return tf.where(tf.random.stateless_uniform(shape, seed, alg="philox") < 0.5, -1.0, 1.0)


def _length(values: tf.Tensor) -> tf.Tensor:
    """Lengths of the channels of images: [n, 1, 1, channels]."""
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=[1, 2], keepdims=True) + _TINY)
