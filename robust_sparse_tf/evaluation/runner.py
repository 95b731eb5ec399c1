"""Attacks on numbered examples, batch by batch, each traced once."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import Attack, MinimumNorm, norms
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.attacks.seeds import seed_of
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import graph
from robust_sparse_tf.evaluation.report import Outcome, Picture, mostly, reach
from robust_sparse_tf.evaluation.state import State
from robust_sparse_tf.texts import percent

Turns: TypeAlias = Sequence[tuple[float | None, dict[str, Attack]]]
"""(epsilon, attacks by name); each turn begins with the clean examples again."""

_PICTURES = 8
_NONE = -1  # the class where logits are NaN, which is never right


class Runner:
    """Runs attacks on examples of a model.

    Args:
        logits: from float32 images [batch, ...] to logits.
        images: float32 [n, ...].
        labels: int64 [n].
        limits: minimum and maximum value that an attack may give.
        batch_size: examples attacked at a time.
        draws: forward passes that judge an example.
        seed: of everything random.
        on_batch: told of progress: (name, examples done, examples in all).
        verbose: whether to print a line as an attack ends.

    Attributes:
        pictures: a few by attack and epsilon.
    """

    def __init__(
        self,
        logits: Logits,
        images: np.ndarray,
        labels: np.ndarray,
        limits: tuple[float, float],
        batch_size: int,
        draws: int,
        seed: int,
        on_batch: Callable[[str, int, int], None],
        verbose: bool,
    ) -> None:
        self._images, self._labels, self._limits = images, labels, limits
        self._batch_size, self._draws = batch_size, draws
        self._seed, self._on_batch = seed, on_batch
        self._verbose = verbose
        self._queries = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.pictures: dict[tuple[str, float | None], list[Picture]] = {}

        def counted(x: tf.Tensor) -> tf.Tensor:
            self._queries.assign_add(tf.shape(x, tf.int64)[0])
            return logits(x)

        self._logits, self._counted = logits, counted
        self._batch = tf.TensorSpec([None, *images.shape[1:]], tf.float32)

    def predictions(self) -> np.ndarray:
        """The classes of the clean examples: int64 [n, draws].

        Raises:
            InputError: for a model that returns no numbers for some of them.
        """
        traced = graph(self._classes, self._batch)
        parts = self._parts(np.arange(len(self._labels)))
        found = np.concatenate([traced(tf.constant(self._images[part])) for part in parts])
        broken = int((found == _NONE).any(axis=1).sum())
        if broken:
            raise InputError(
                f"model: returns NaN for {broken} of {len(found)} images; must return logits"
            )
        return found

    def run_all(
        self, turns: Turns, clean: np.ndarray, epsilons: Sequence[float], saved: State
    ) -> Iterator[Outcome]:
        """The outcomes of attacks that take turns, from those of the clean examples.

        Args:
            turns: (epsilon, attacks by name); each begins with the clean examples again.
            clean: bool [n, draws], by which draws each example is right.
            epsilons: at which attacks without an epsilon are looked at, too.
            saved: what is done already, and where progress goes.
        """
        for epsilon, members in turns:
            judged = clean
            for name, attack in members.items():
                outcome = self.run(name, attack, epsilon, judged, saved)
                yield outcome
                judged = outcome.judged
                if epsilon is None:
                    yield from map(outcome.within, epsilons)

    def run(
        self, name: str, attack: Attack, epsilon: float | None, judged: np.ndarray, saved: State
    ) -> Outcome:
        """Attacks the examples that are still robust.

        Args:
            name: of the attack.
            attack: what is run.
            epsilon: within which an example counts as lost; None for any distance.
            judged: bool [n, draws], by which draws each example is right before.
            saved: what is done already, and where progress goes.
        """
        key = f"{name}@{epsilon}"
        self.pictures[name, epsilon] = []
        done, distance, after, seconds, queries = saved.get(key, judged)
        stands = mostly(judged)
        parts = self._parts(np.flatnonzero(stands & ~done))
        attacked = None
        for part in parts:
            if attacked is None:  # not where there is nothing to do, as tracing takes seconds
                attacked = self._attacked(name, attack)
            start = time.perf_counter()
            self._queries.assign(0)
            x, y = self._images[part], self._labels[part]
            seed = seed_of(self._seed, part[0])
            given = tf.constant(x), tf.constant(y), seed
            adversarial, found = (v.numpy() for v in attacked(*given))
            distance[part] = self._checked(name, attack, epsilon, x, adversarial)
            far = distance[part] > reach(epsilon)
            after[part] = _worse(judged[part], (found == y[:, None]) | far[:, None])
            done[part] = True
            seconds[part] = (time.perf_counter() - start) / len(part)
            queries[part] = int(self._queries.numpy()) / len(part)
            self._keep((name, epsilon), y, found[:, 0], x, adversarial)
            saved.put(key, done, distance, after, seconds, queries)
            self._on_batch(name, int(done.sum()), int(stands.sum()))
        outcome = Outcome(
            attack=name,
            norm=attack.norm,
            epsilon=epsilon,
            tried=done,
            judged=after,
            distance=distance,
            queries=queries,
            seconds=seconds,
        )
        if self._verbose:
            now = np.concatenate([np.zeros(0, int), *parts])
            print(_line(outcome, len(now), seconds[now].sum()), flush=True)
        return outcome

    def _classes(self, x: tf.Tensor) -> tf.Tensor:
        """The classes of inputs, drawn again each time: int64 [batch, draws]; _NONE of NaN."""

        def draw() -> tf.Tensor:
            logits = self._logits(x)
            broken = tf.reduce_any(tf.math.is_nan(logits), axis=1)
            return tf.where(broken, tf.constant(_NONE, tf.int64), tf.argmax(logits, axis=1))

        if self._draws == 1:
            return draw()[:, None]
        drawn = tf.map_fn(
            lambda _: draw(),
            tf.range(self._draws),
            fn_output_signature=tf.int64,
        )
        return tf.transpose(drawn)

    def _attacked(self, name: str, attack: Attack) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        def run(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            adversarial = tf.cast(attack(self._counted, x, y, seed=seed), tf.float32)
            _check_shape(name, adversarial.shape, x.shape)
            return adversarial, self._classes(adversarial)

        labels, seeds = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        return graph(run, self._batch, labels, seeds)

    def _checked(
        self,
        name: str,
        attack: Attack,
        epsilon: float | None,
        clean: np.ndarray,
        adversarial: np.ndarray,
    ) -> np.ndarray:
        """The distances, of an attack that keeps to its rules; one that breaks them must not count.

        Raises:
            InputError: for another shape, what is not finite, or outside the ball or the range.
        """
        _check_shape(name, adversarial.shape, clean.shape)
        distance = norms.distance(adversarial - clean, attack.norm).numpy()
        radius = reach(None if isinstance(attack, MinimumNorm) else epsilon)
        low, high = self._limits
        # Written so that NaN, which compares false with everything, is refused.
        inside = low <= adversarial.min() and adversarial.max() <= high
        if not (inside and distance.max() <= radius):
            raise InputError(
                f"attack {name}: left its threat model (distance {distance.max():g}, values "
                f"{adversarial.min():g} to {adversarial.max():g}); must stay within {radius:g} and "
                f"[{low}, {high}]"
            )
        return distance

    def _keep(
        self,
        key: tuple[str, float | None],
        y: np.ndarray,
        found: np.ndarray,
        clean: np.ndarray,
        adversarial: np.ndarray,
    ) -> None:
        kept = self.pictures[key]
        for row in range(min(len(y), _PICTURES - len(kept))):
            kept.append(Picture(int(y[row]), int(found[row]), clean[row], adversarial[row]))

    def _parts(self, numbers: np.ndarray) -> list[np.ndarray]:
        size = self._batch_size
        return [numbers[first : first + size] for first in range(0, len(numbers), size)]


def _line(outcome: Outcome, attacked: int, seconds: float) -> str:
    """What is printed of an attack that has ended, and of what was not done before."""
    name = outcome.attack
    if outcome.epsilon is not None:
        name += f" (epsilon {outcome.epsilon:.4g})"
    accuracy = percent(outcome.stands.mean())
    return f"{name}: robust accuracy {accuracy} % ({attacked} examples in {seconds:.0f} s)"


def _check_shape(name: str, found: Any, expected: Any) -> None:
    """Compares shapes, which may be unknown in parts."""
    if not tf.TensorShape(found).is_compatible_with(expected):
        raise InputError(f"attack {name}: returned shape {found}; must return {expected}")


def _worse(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of each example the judgements of which fewer are right: bool [n, draws]."""
    return np.where((after.sum(axis=1) < before.sum(axis=1))[:, None], after, before)
