"""Runs attacks batch by batch, each traced once."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""(epsilon, attacks by name); each turn starts from the clean examples."""

_PICTURES = 8
_NONE = -1  # class for logits of NaN, which is never correct


class Runner:
    """Runs attacks on a model and examples.

    Args:
        logits: from float32 images [batch, ...] to logits.
        images: float32 [n, ...].
        labels: int64 [n].
        limits: minimum and maximum value of adversarial examples.
        batch_size: examples attacked at a time.
        passes: forward passes per example.
        seed: seed of everything random.
        on_batch: called with progress: (name, examples done, all examples).
        verbose: whether to print a line as each attack ends.

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
        passes: int,
        seed: int,
        on_batch: Callable[[str, int, int], None],
        verbose: bool,
    ) -> None:
        self._images, self._labels, self._limits = images, labels, limits
        self._batch_size, self._passes = batch_size, passes
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
        """Predicts the classes of the clean examples: int64 [n, passes].

        Raises:
            InputError: if the model returns NaN for some of them.
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
        self,
        turns: Turns,
        clean: np.ndarray,
        epsilons: Sequence[float],
        saved: State,
        safe: Mapping[tuple[str, float], np.ndarray],
    ) -> Iterator[Outcome]:
        """Runs attacks in turns, and returns their outcomes.

        Args:
            turns: (epsilon, attacks by name); each turn starts from the clean examples.
            clean: bool [n, passes], whether pass j classifies clean example i correctly.
            epsilons: radii within which attacks that minimise the distance are also counted.
            saved: stored progress, which is updated.
            safe: bool [n] by norm and radius, the examples that are not attacked in this ball.
        """
        nobody = np.zeros(len(clean), bool)
        for epsilon, members in turns:
            judged = clean
            for name, attack in members.items():
                left_out = nobody if epsilon is None else safe.get((attack.norm, epsilon), nobody)
                outcome = self.run(name, attack, epsilon, judged, saved, left_out)
                yield outcome
                judged = outcome.judged
                if epsilon is None:
                    yield from map(outcome.within, epsilons)

    def run(
        self,
        name: str,
        attack: Attack,
        epsilon: float | None,
        judged: np.ndarray,
        saved: State,
        left_out: np.ndarray,
    ) -> Outcome:
        """Runs an attack on the examples that are still robust.

        Args:
            name: name of the attack.
            attack: the attack.
            epsilon: distance within which adversarial examples count; None for any distance.
            judged: bool [n, passes], whether pass j classified example i correctly before.
            saved: stored progress, which is updated.
            left_out: bool [n], examples that are not attacked.
        """
        key = f"{name}@{epsilon}"
        self.pictures[name, epsilon] = []
        done, distance, after, seconds, queries = saved.get(key, judged)
        stands = mostly(judged) & ~left_out
        parts = self._parts(np.flatnonzero(stands & ~done))
        attacked = None
        for part in parts:
            if attacked is None:  # only if there is something to do, as tracing takes seconds
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
        """Predicts classes, with new noise in each pass: int64 [batch, passes]; _NONE for NaN."""

        def draw() -> tf.Tensor:
            logits = self._logits(x)
            broken = tf.reduce_any(tf.math.is_nan(logits), axis=1)
            return tf.where(broken, tf.constant(_NONE, tf.int64), tf.argmax(logits, axis=1))

        if self._passes == 1:
            return draw()[:, None]
        drawn = tf.map_fn(
            lambda _: draw(),
            tf.range(self._passes),
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
        """Returns the distances, and checks that the attack stayed within its threat model.

        Raises:
            InputError: for another shape, or values that are not finite or outside the ball or
                range.
        """
        _check_shape(name, adversarial.shape, clean.shape)
        distance = norms.distance(adversarial - clean, attack.norm).numpy()
        radius = reach(None if isinstance(attack, MinimumNorm) else epsilon)
        low, high = self._limits
        # `not` refuses NaN, too, which compares false with everything.
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
    """The line printed as an attack ends; time and examples are those of this process."""
    name = outcome.attack
    if outcome.epsilon is not None:
        name += f" (epsilon {outcome.epsilon:.4g})"
    accuracy = percent(outcome.stands.mean())
    return f"{name}: robust accuracy {accuracy} % ({attacked} examples in {seconds:.0f} s)"


def _check_shape(name: str, found: Any, expected: Any) -> None:
    """Compares shapes that may be partly unknown."""
    if not tf.TensorShape(found).is_compatible_with(expected):
        raise InputError(f"attack {name}: returned shape {found}; must return {expected}")


def _worse(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Per example, the passes of which fewer are correct: bool [n, passes]."""
    return np.where((after.sum(axis=1) < before.sum(axis=1))[:, None], after, before)
