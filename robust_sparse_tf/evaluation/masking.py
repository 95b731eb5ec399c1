"""Signs that gradients, and with them accuracies under attack, cannot be trusted.

After "Obfuscated Gradients Give a False Sense of Security" (Athalye et al., 2018), section 3.1, and
"On Evaluating Adversarial Robustness" (Carlini et al., 2019), section 4.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import (
    FGSM,
    PGD,
    RFGSM,
    Attack,
    Ball,
    Square,
    Transfer,
    UniformNoise,
    losses,
    norms,
)
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.evaluation.inputs import graph
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.texts import percent

_EXAMPLES = 200
_LEAKING_EXAMPLES = 1000
_SIGMAS = 3.0  # a difference that chance makes once in a thousand times is not reported
_LEAST = 0.02  # nor one that is smaller than this fraction of the examples
# Fewer examples than this say nothing.
_FEWEST = 10


def find(
    logits: Logits,
    images: np.ndarray,
    labels: np.ndarray,
    right: np.ndarray,
    ball: Ball,
    seed: int,
    sources: Sequence[Logits] = (),
) -> list[str]:
    """Probes a model on some of the examples, most of the probes on those that it has right.

    Args:
        logits: the model.
        images: float32 [n, ...].
        labels: integers [n].
        right: bool [n], the examples that the model has right.
        ball: the threat model that is evaluated; attacks are compared in linf and l2 only.
        seed: of everything random.
        sources: other models, callables as `logits`, whose adversarial examples are tried, too.

    Returns:
        A line for each sign of masked gradients, with its evidence.
    """
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(right))[:_EXAMPLES]
    x, y = tf.constant(images[chosen]), tf.constant(labels[chosen])
    found = [*_of_gradients(logits, x, y)]
    if ball.norm not in ("linf", "l2") or ball.epsilon == 0:
        return found
    if len(chosen) >= _FEWEST:
        found += _of_attacks(logits, x, y, ball, seed, sources)
    sample = np.random.default_rng(seed).permutation(len(images))[:_LEAKING_EXAMPLES]
    x, y = tf.constant(images[sample]), tf.constant(labels[sample])
    one_step = FGSM(**dataclasses.asdict(ball))
    return [*found, *_of_labels(logits, one_step, x, y, right[sample])]


def of_noise(attacks: Mapping[str, Attack]) -> list[str]:
    """A line for a model with noise at inference, if gradients of single draws were followed."""
    single = [
        name
        for name, attack in attacks.items()
        if attack.uses_gradients and getattr(attack, "draws", 1) == 1
    ]
    if not single:
        return []
    return [
        "noise at inference: the same images give other logits each time, and "
        f"{', '.join(single)} followed gradients of single draws; average them (the ensemble rand)"
    ]


def in_outcomes(
    outcomes: list[Outcome], right: np.ndarray, attacks: Mapping[str, Attack]
) -> list[str]:
    """Signs in the figures themselves.

    Args:
        outcomes: of attacks that were run one by one, or that took turns, in their order.
        right: bool [n], the examples that the model has right.
        attacks: by the names of the outcomes.

    Returns:
        A line for each accuracy that rises with epsilon, and for each ball in which scores alone
        gave a better attack than gradients, with its evidence.
    """
    found = list(_not_monotone(outcomes, right))
    balls = dict.fromkeys((o.norm, o.epsilon) for o in outcomes if o.epsilon is not None)
    for ball in balls:
        own = [o for o in outcomes if (o.norm, o.epsilon) == ball]
        black = [o for o in own if not attacks[o.attack].uses_gradients]
        white = [o for o in own if _is_iterative(attacks[o.attack])]
        if black and white:
            found += _of_black_boxes(black, white, right)
    return found


def _not_monotone(outcomes: list[Outcome], right: np.ndarray) -> Iterator[str]:
    by_name: dict[str, list[tuple[float, Outcome]]] = {}
    for outcome in outcomes:
        if outcome.epsilon is not None and np.array_equal(outcome.tried, right):
            by_name.setdefault(outcome.attack, []).append((outcome.epsilon, outcome))
    for name, group in by_name.items():
        ordered = sorted(group, key=lambda pair: pair[0])
        for (near, small), (far, large) in itertools.pairwise(ordered):
            if _more(large.stands, small.stands):
                yield (
                    f"not monotone in epsilon: {name} leaves {_percent(small.stands)} at "
                    f"{near:g} and {_percent(large.stands)} at {far:g}"
                )


def _is_iterative(attack: Attack) -> bool:
    """Whether gradients are followed step by step: to beat a single step is no sign."""
    one_step = isinstance(attack, FGSM | RFGSM) or getattr(attack, "steps", None) == 1
    return attack.uses_gradients and not one_step


def _of_black_boxes(black: list[Outcome], white: list[Outcome], right: np.ndarray) -> Iterator[str]:
    """In one ball: run on the same examples, and on what gradients have left."""
    same = [[o for o in group if np.array_equal(o.tried, right)] for group in (black, white)]
    if all(same):
        ours, theirs = (min(group, key=lambda outcome: outcome.stands.sum()) for group in same)
        if _more(theirs.stands, ours.stands):
            yield (
                f"black box stronger than white box: {ours.attack} leaves {_percent(ours.stands)} "
                f"at {ours.epsilon:g}, {theirs.attack}, the best with gradients, "
                f"{_percent(theirs.stands)}"
            )
    for later in black:
        before = [o.attack for o in white if np.array_equal(o.stands & later.tried, later.tried)]
        if not np.array_equal(later.tried, right) and before and _more(later.tried, later.stands):
            yield (
                f"black box stronger than white box: of {_percent(later.tried)} left at "
                f"{later.epsilon:g} by {', '.join(before)}, {later.attack} leaves "
                f"{_percent(later.stands)}"
            )


def _of_gradients(logits: Logits, x: tf.Tensor, y: tf.Tensor) -> Iterator[str]:
    _, _, gradient = losses.value_and_gradient(losses.cross_entropy, logits, x, y)
    flat = norms.flat(gradient)
    broken = int(tf.math.count_nonzero(~tf.reduce_all(tf.math.is_finite(flat), axis=1)))
    zero = int(tf.math.count_nonzero(tf.reduce_all(flat == 0, axis=1)))
    for number, kind in ((broken, "NaN or infinite"), (zero, "zero")):
        if number > _LEAST * len(x):
            yield f"{kind} gradients: on {number} of {len(x)} images"


def _of_attacks(
    logits: Logits,
    x: tf.Tensor,
    y: tf.Tensor,
    ball: Ball,
    seed: int,
    sources: Sequence[Logits],
) -> Iterator[str]:
    same = dataclasses.asdict(ball)
    steps = dict(steps=20, random_start=True, **same)
    longest = math.prod(x.shape[1:]) ** 0.5 if ball.norm == "l2" else 1.0
    widest = (ball.high - ball.low) * longest
    stands = {
        name: _stands(logits, attack, x, y, seed)
        for name, attack in {
            "noise": UniformNoise(**same),
            "fgsm": FGSM(**same),
            "pgd": PGD(**steps),
            "pgd, 5 restarts": PGD(restarts=5, **steps),
            "square, 200 queries": Square(queries=200, **same),
            "widest": PGD(
                steps=40,
                step_size=widest / 20,
                stop_when_fooled=True,
                **dataclasses.asdict(ball.at(widest)),
            ),
        }.items()
    }
    share = {name: _percent(values) for name, values in stands.items()}
    pgd = stands["pgd"]
    if _more(pgd, stands["fgsm"]):
        yield f"one step stronger than many: FGSM leaves {share['fgsm']}, PGD {share['pgd']}"
    if _more(pgd, stands["square, 200 queries"]):
        yield (
            f"black box stronger than white box: Square with 200 queries leaves "
            f"{share['square, 200 queries']}, PGD {share['pgd']}"
        )
    if (~stands["noise"]).sum() > _LEAST * len(x) and not _more(stands["noise"], pgd):
        yield f"noise as strong as an attack: it leaves {share['noise']}, PGD {share['pgd']}"
    if np.mean(pgd) - np.mean(stands["pgd, 5 restarts"]) > 0.1:
        yield (
            f"restarts gain much: one attempt of PGD leaves {share['pgd']}, five leave "
            f"{share['pgd, 5 restarts']}"
        )
    if np.mean(stands["widest"]) > _LEAST:
        yield f"unbounded attacks fail: PGD with epsilon {widest:g} leaves {share['widest']}"
    for number, source in enumerate(sources, 1):
        transfer = Transfer(attack=PGD(**steps), sources=(source,))
        transferred = _stands(logits, transfer, x, y, seed)
        if _more(pgd, transferred):
            yield (
                f"transfer stronger than white box: PGD on source {number} leaves "
                f"{_percent(transferred)}, PGD on the model itself {share['pgd']}"
            )


def _of_labels(
    logits: Logits, one_step: Attack, x: tf.Tensor, y: tf.Tensor, right: np.ndarray
) -> Iterator[str]:
    """Of a model that has learnt to read the label from the perturbation.

    "Adversarial Machine Learning at Scale" (Kurakin et al., 2017), section 4. What shows it are
    images that the model has wrong, and right under attack.
    """
    stands = _stands(logits, one_step, x, y, 0)
    if _more(stands, right, least=0.0):
        yield (
            f"label leaking: {_percent(right)} of {len(right)} images are right, and "
            f"{_percent(stands)} under FGSM, which is given the labels"
        )


def _stands(logits: Logits, attack: Attack, x: tf.Tensor, y: tf.Tensor, seed: int) -> np.ndarray:
    def run(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.equal(tf.argmax(logits(attack(logits, x, y, seed=(seed, 0))), axis=1), y)

    specs = [tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in (x, y)]
    traced = graph(run, *specs)
    firsts = range(0, len(x), _EXAMPLES)  # in parts, which bounds the memory
    return np.concatenate([traced(x[i : i + _EXAMPLES], y[i : i + _EXAMPLES]) for i in firsts])


def _more(one: np.ndarray, other: np.ndarray, least: float = _LEAST) -> bool:
    """Whether clearly more are robust in one than in the other: McNemar's test, and a share."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    clear = gained - lost > _SIGMAS * max(1, gained + lost) ** 0.5
    return clear and gained - lost > least * len(one)


def _percent(stands: np.ndarray) -> str:
    return percent(np.mean(stands), digits=1) + " %"
