"""A model under attack: by several attacks, at several epsilons, example by example."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import Attack, Bounded, norms
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import ensembles, inputs, masking
from robust_sparse_tf.evaluation.report import Outcome, Report, reach
from robust_sparse_tf.evaluation.state import State

_PICTURES = 8


def evaluate(
    model: Any,
    data: Split | tuple[np.ndarray, np.ndarray],
    attacks: str | Mapping[str, Attack] = "quick",
    epsilons: Sequence[float] = (),
    *,
    norm: str = "linf",
    clip_min: float = 0.0,
    clip_max: float = 1.0,
    seed: int = 0,
    batch_size: int = 500,
    state: str | None = None,
    check_masking: bool = True,
    on_batch: Callable[[str, int, int], None] = lambda name, done, size: None,
) -> Report:
    """Attacks a model and reports what stands.

    The attacks of an ensemble take turns: each runs on what the ones before it have left. Given
    attacks run one by one on all examples that the model has right.

    Args:
        model: tf_keras model, or any callable from float32 images [batch, ...] to logits.
        data: a `Split`, or (images, labels).
        attacks: the name of an ensemble ("quick", "standard" or "rand"), or attacks by name.
        epsilons: radii at which bounded attacks are run, in input units; by default their own, for
            an ensemble that of the attack the model was trained with.
        norm: of an ensemble.
        clip_min: least value of an input; used by ensembles and by the masking checks.
        clip_max: largest value of an input.
        seed: of everything random.
        batch_size: examples attacked at a time; bounds the memory.
        state: file to which progress is saved after each batch and from which it goes on.
        check_masking: whether to look for gradient masking (see `masking.find`).
        on_batch: told of progress: (name, examples done, examples in all).

    Raises:
        InputError: for data, a model, attacks or a state that do not fit.
    """
    logits = inputs.as_logits(model)
    images, labels = inputs.checked(data, clip_min, clip_max)
    classes = inputs.check_model(logits, images, labels)
    logits, differentiable = inputs.connected(logits, images)
    if isinstance(attacks, str):
        radii = list(epsilons) or [_own_epsilon(model)]
        turns = [
            (epsilon, ensembles.make(attacks, norm, epsilon, classes, clip_min, clip_max))
            for epsilon in radii
        ]
    else:
        turns = [(epsilon, {n: a}) for n, a, epsilon in _one_by_one(attacks, epsilons)]
    runner = _Runner(logits, images, labels, batch_size, seed, on_batch)
    predictions = runner.predictions()
    runner.saved = State(state, _identity(turns, seed, images, predictions))
    outcomes: list[Outcome] = []
    for epsilon, members in turns:
        stands = predictions == labels
        for name, attack in members.items():
            outcomes.append(runner.run(name, attack, epsilon, stands))
            stands = outcomes[-1].stands
            if epsilon is None:
                outcomes += [outcomes[-1].within(radius) for radius in epsilons]
    warnings = list(ensembles.notes(attacks, classes) if isinstance(attacks, str) else ())
    if not differentiable:
        warnings.append("no gradient: the model has none; only score-based attacks count")
    if check_masking:
        right = np.flatnonzero(predictions == labels)
        radius = next((epsilon for epsilon, _ in turns if epsilon), None)
        of_norm = next((o.norm for o in outcomes if o.epsilon == radius), norm)
        if radius is not None and len(right):
            warnings += masking.find(
                logits, images, labels, right, radius, of_norm, clip_min, clip_max, seed
            )
        warnings += masking.in_outcomes(outcomes, predictions == labels)
    return Report(
        labels=labels,
        predictions=predictions,
        outcomes=outcomes,
        warnings=warnings,
        pictures=runner.pictures,
    )


def _own_epsilon(model: Any) -> float:
    attack = getattr(model, "attack", None)
    if attack is None:
        raise InputError("epsilons=(): must be given, as the model was not trained under attack")
    return attack.epsilon


def _one_by_one(attacks: Mapping[str, Attack], epsilons: Sequence[float]) -> list[tuple]:
    if not isinstance(attacks, Mapping) or not attacks:
        raise InputError(
            f"attacks={attacks}: must be {', '.join(ensembles.NAMES)} or attacks by name, as in "
            "{'pgd': PGD()}"
        )
    found = []
    for name, attack in attacks.items():
        if not isinstance(attack, Attack) or attack.targeted:
            raise InputError(f"attacks[{name!r}]={attack}: must be an untargeted Attack")
        if not isinstance(attack, Bounded):
            found.append((name, attack, None))
            continue
        for epsilon in epsilons or [attack.epsilon]:
            found.append((name, dataclasses.replace(attack, epsilon=epsilon), epsilon))
    return found


def _identity(
    turns: list, seed: int, images: np.ndarray, predictions: np.ndarray
) -> dict[str, Any]:
    """What was evaluated; a model is known by what it predicts."""
    members = [[epsilon, {n: repr(a) for n, a in named.items()}] for epsilon, named in turns]
    return {"attacks": members, "seed": seed, "examples": inputs.digest(images, predictions)}


class _Runner:
    """Runs attacks on numbered examples, batch by batch, each traced once."""

    saved: State

    def __init__(
        self,
        logits: Callable,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        on_batch: Callable,
    ) -> None:
        self._images, self._labels = images, labels
        self._batch_size, self._seed, self._on_batch = batch_size, seed, on_batch
        self._queries = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.pictures: dict[str, list[tuple]] = {}

        def counted(x: tf.Tensor) -> tf.Tensor:
            self._queries.assign_add(tf.shape(x, tf.int64)[0])
            return logits(x)

        self._logits, self._counted = logits, counted
        self._batch = tf.TensorSpec([None, *images.shape[1:]], tf.float32)

    def predictions(self) -> np.ndarray:
        """The classes of the clean examples: int64 [n]."""
        predict = tf.function(lambda x: tf.argmax(self._logits(x), axis=1))
        traced = predict.get_concrete_function(self._batch)
        parts = self._parts(np.arange(len(self._labels)))
        return np.concatenate([traced(tf.constant(self._images[part])) for part in parts])

    def run(self, name: str, attack: Attack, epsilon: float | None, stands: np.ndarray) -> Outcome:
        """Attacks the examples that stand."""
        key = f"{name}@{epsilon}"
        self.pictures[name] = []  # those of the last epsilon are shown
        done, distance, after, seconds, queries = self.saved.get(key, stands)
        attacked = self._attacked(attack)
        waiting = np.flatnonzero(stands & ~done)
        for part in self._parts(waiting):
            start = time.perf_counter()
            self._queries.assign(0)
            x, y = self._images[part], self._labels[part]
            seed = np.array([self._seed, part[0]], np.int64)
            adversarial, found = (v.numpy() for v in attacked(*map(tf.constant, (x, y, seed))))
            distance[part] = norms.distance(adversarial - x, attack.norm)
            self._check(name, attack, adversarial, distance[part])
            after[part] = (found == y) | (distance[part] > reach(epsilon))
            done[part] = True
            seconds += time.perf_counter() - start
            queries += int(self._queries.numpy()) - len(part)  # less the one that judges
            self._keep(name, y, found, x, adversarial)
            self.saved.put(key, done, distance, after, seconds, queries)
            self._on_batch(name, int(done.sum()), int(stands.sum()))
        return Outcome(
            attack=name,
            norm=attack.norm,
            epsilon=epsilon,
            tried=done,
            stands=after & stands,
            distance=distance,
            queries=queries / max(1, int(done.sum())),
            seconds=seconds,
        )

    def _attacked(self, attack: Attack) -> Callable:
        def run(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            adversarial = attack(self._counted, x, y, seed=seed)
            return adversarial, tf.argmax(self._counted(adversarial), axis=1)

        labels, seeds = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        return tf.function(run).get_concrete_function(self._batch, labels, seeds)

    def _check(self, name: str, attack: Attack, x: np.ndarray, distance: np.ndarray) -> None:
        """An attack that breaks its rules must not count."""
        radius = reach(attack.epsilon if isinstance(attack, Bounded) else None)
        far = distance.max() > radius
        if far or x.min() < attack.clip_min or x.max() > attack.clip_max:
            raise InputError(
                f"attack {name}: left its threat model (distance {distance.max():g}, values "
                f"{x.min():g} to {x.max():g}); must stay within {radius:g} and "
                f"[{attack.clip_min}, {attack.clip_max}]"
            )

    def _keep(self, name: str, y: np.ndarray, found: np.ndarray, *images: np.ndarray) -> None:
        kept = self.pictures[name]
        for row in range(min(len(y), _PICTURES - len(kept))):
            kept.append((int(y[row]), int(found[row]), *(image[row] for image in images)))

    def _parts(self, numbers: np.ndarray) -> list[np.ndarray]:
        size = self._batch_size
        return [numbers[first : first + size] for first in range(0, len(numbers), size)]
