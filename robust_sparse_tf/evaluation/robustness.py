"""A model under attack: by several attacks, at several epsilons, example by example."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import stats

from robust_sparse_tf.attacks import Ascent, Attack, Bounded, MinimumNorm, Transfer, norms
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import ensembles, inputs, masking
from robust_sparse_tf.evaluation.report import Outcome, Report, mostly, reach
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
    draws: int = 1,
    sources: Sequence[Any] = (),
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
        epsilons: radii at which bounded attacks are run, in input units, their steps in proportion;
            by default their own, for an ensemble that of the attack the model was trained with.
        norm: of an ensemble.
        clip_min: least value of an input; used by ensembles and by the masking checks.
        clip_max: largest value of an input.
        seed: of everything random.
        batch_size: examples attacked at a time; bounds the memory.
        draws: forward passes that judge each example, for models with noise at inference: it stands
            where most are right, and the report has their mean accuracy with its standard error.
        sources: other models, whose adversarial examples a masking check tries on this one.
        state: file to which progress is saved after each batch and from which it goes on.
        check_masking: whether to look for gradient masking (see `masking.find`).
        on_batch: told of progress: (name, examples done, examples in all).

    Raises:
        InputError: for data, a model, attacks or a state that do not fit.
    """
    if draws < 1:
        raise InputError(f"draws={draws}: must be at least 1")
    logits = inputs.as_logits(model)
    images, labels = inputs.checked(data, clip_min, clip_max)
    classes = inputs.check_model(logits, images, labels)
    logits, differentiable = inputs.connected(logits, images)
    if isinstance(attacks, str):
        turns = [
            (epsilon, ensembles.make(attacks, norm, epsilon, classes, clip_min, clip_max))
            for epsilon in list(epsilons) or [_own_epsilon(model)]
        ]
    else:
        turns = [(epsilon, {n: a}) for n, a, epsilon in _one_by_one(attacks, epsilons)]
    runner = _Runner(logits, images, labels, batch_size, draws, seed, on_batch)
    drawn = runner.predictions()
    clean = drawn == labels[:, None]
    noisy = inputs.is_noisy(logits, images)
    # A model is known by what it predicts, if that stays the same.
    known = inputs.digest(images, drawn[:, :0] if noisy else drawn)
    runner.saved = State(state, _identity(turns, seed, draws, known))
    outcomes = list(runner.run_all(turns, clean, epsilons))
    named = {name: attack for _, members in turns for name, attack in members.items()}
    warnings = list(ensembles.notes(attacks, classes) if isinstance(attacks, str) else ())
    if not differentiable:
        warnings.append("no gradient: the model has none; only score-based attacks count")
    if check_masking:
        warnings += masking.of_noise(named) if noisy else []
        ball = next(((o.epsilon, o.norm) for o in outcomes if o.epsilon), None)
        right = mostly(clean)
        others = [inputs.as_logits(source) for source in sources]
        if ball and right.any():
            warnings += masking.find(
                logits, images, labels, right, *ball, clip_min, clip_max, seed, others
            )
        warnings += masking.in_outcomes(outcomes, right, named)
    return Report(
        labels=labels,
        predictions=stats.mode(drawn, axis=1).mode,
        judged=clean,
        outcomes=outcomes,
        warnings=warnings,
        pictures=runner.pictures,
    )


def _own_epsilon(model: Any) -> float:
    attack = getattr(model, "attack", None)
    if not isinstance(attack, Ascent):
        raise InputError("epsilons=(): must be given, as the model was not trained at one epsilon")
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
        run = attack.attack if isinstance(attack, Transfer) else attack
        if not isinstance(run, Bounded):
            found.append((name, attack, None))
            continue
        for epsilon in epsilons or [run.epsilon]:
            found.append((name, attack.at(epsilon), epsilon))
    return found


def _identity(turns: list, seed: int, draws: int, examples: str) -> dict[str, Any]:
    members = [[epsilon, {n: repr(a) for n, a in named.items()}] for epsilon, named in turns]
    return {"attacks": members, "seed": seed, "draws": draws, "examples": examples}


class _Runner:
    """Runs attacks on numbered examples, batch by batch, each traced once."""

    saved: State

    def __init__(
        self,
        logits: Callable,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        draws: int,
        seed: int,
        on_batch: Callable,
    ) -> None:
        self._images, self._labels = images, labels
        self._batch_size, self._draws = batch_size, draws
        self._seed, self._on_batch = seed, on_batch
        self._queries = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.pictures: dict[str, list[tuple]] = {}

        def counted(x: tf.Tensor) -> tf.Tensor:
            self._queries.assign_add(tf.shape(x, tf.int64)[0])
            return logits(x)

        self._logits, self._counted = logits, counted
        self._batch = tf.TensorSpec([None, *images.shape[1:]], tf.float32)

    def predictions(self) -> np.ndarray:
        """The classes of the clean examples: int64 [n, draws]."""
        traced = tf.function(self._classes).get_concrete_function(self._batch)
        parts = self._parts(np.arange(len(self._labels)))
        return np.concatenate([traced(tf.constant(self._images[part])) for part in parts])

    def run_all(
        self, turns: list, clean: np.ndarray, epsilons: Sequence[float]
    ) -> Iterator[Outcome]:
        """The outcomes of attacks that take turns, from those of the clean examples.

        Args:
            turns: (epsilon, attacks by name); each begins with the clean examples anew.
            clean: bool [n, draws], by which draws each example is right.
            epsilons: at which attacks without an epsilon are looked at, too.
        """
        for epsilon, members in turns:
            judged = clean
            for name, attack in members.items():
                outcome = self.run(name, attack, epsilon, judged)
                yield outcome
                judged = outcome.judged
                if epsilon is None:
                    yield from map(outcome.within, epsilons)

    def run(self, name: str, attack: Attack, epsilon: float | None, judged: np.ndarray) -> Outcome:
        """Attacks the examples that stand.

        Args:
            name: of the attack.
            attack: what is run.
            epsilon: within which an example counts as lost; None for any distance.
            judged: bool [n, draws], by which draws each example is right before.
        """
        key = f"{name}@{epsilon}"
        self.pictures[name] = []  # those of the last epsilon are shown
        done, distance, after, seconds, queries = self.saved.get(key, judged)
        attacked = self._attacked(attack)
        stands = mostly(judged)
        for part in self._parts(np.flatnonzero(stands & ~done)):
            start = time.perf_counter()
            self._queries.assign(0)
            x, y = self._images[part], self._labels[part]
            seed = np.array([self._seed, part[0]], np.int64)
            adversarial, found = (v.numpy() for v in attacked(*map(tf.constant, (x, y, seed))))
            distance[part] = norms.distance(adversarial - x, attack.norm)
            self._check(name, attack, epsilon, adversarial, distance[part])
            far = distance[part] > reach(epsilon)
            after[part] = _worse(judged[part], (found == y[:, None]) | far[:, None])
            done[part] = True
            seconds[part] = (time.perf_counter() - start) / len(part)
            queries[part] = int(self._queries.numpy()) / len(part)
            self._keep(name, y, found[:, 0], x, adversarial)
            self.saved.put(key, done, distance, after, seconds, queries)
            self._on_batch(name, int(done.sum()), int(stands.sum()))
        return Outcome(
            attack=name,
            norm=attack.norm,
            epsilon=epsilon,
            tried=done,
            judged=after,
            distance=distance,
            queries=queries,
            seconds=seconds,
        )

    def _classes(self, x: tf.Tensor) -> tf.Tensor:
        """The classes of inputs, drawn anew each time: int64 [batch, draws]."""
        if self._draws == 1:
            return tf.argmax(self._logits(x), axis=1)[:, None]
        drawn = tf.map_fn(
            lambda _: tf.argmax(self._logits(x), axis=1),
            tf.range(self._draws),
            fn_output_signature=tf.int64,
        )
        return tf.transpose(drawn)

    def _attacked(self, attack: Attack) -> Callable:
        def run(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            adversarial = attack(self._counted, x, y, seed=seed)
            return adversarial, self._classes(adversarial)

        labels, seeds = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        return tf.function(run).get_concrete_function(self._batch, labels, seeds)

    def _check(
        self,
        name: str,
        attack: Attack,
        epsilon: float | None,
        x: np.ndarray,
        distance: np.ndarray,
    ) -> None:
        """An attack that breaks its rules must not count."""
        radius = reach(None if isinstance(attack, MinimumNorm) else epsilon)
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


def _worse(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of each example the judgements of which fewer are right: bool [n, draws]."""
    return np.where((after.sum(axis=1) < before.sum(axis=1))[:, None], after, before)
