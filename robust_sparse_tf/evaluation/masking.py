"""Tests for gradient masking: signs that accuracies under gradient-based attacks are too high.

After "Obfuscated Gradients Give a False Sense of Security" (Athalye et al., 2018), section 3.1, and
"On Evaluating Adversarial Robustness" (Carlini et al., 2019), section 4.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

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
from robust_sparse_tf.evaluation.checks import Check, not_run, outcome
from robust_sparse_tf.evaluation.inputs import graph
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.texts import percent

_EXAMPLES = 200
_LEAKING_EXAMPLES = 1000
_SIGMAS = 3.0  # significance level of reported differences
_LEAST = 0.02  # and their minimum size, as a fraction of the examples
_MUCH = 0.1  # of accuracy that restarts take
# Fewer examples are not evidence.
_FEWEST = 10


_OF_GRADIENTS = ("NaN or infinite gradients", "zero gradients")
_OF_ATTACKS = (
    "one step stronger than many",
    "black box stronger than white box",
    "noise as strong as an attack",
    "restarts gain much",
    "unbounded attacks fail",
)
_TRANSFER = "transfer stronger than white box"
_LEAKING = "label leaking"
_MONOTONE = "not monotone in epsilon"
_BLACK_BOX = "black box stronger than white box"
_NOISE = "noise at inference"


def find(
    logits: Logits,
    images: np.ndarray,
    labels: np.ndarray,
    right: np.ndarray,
    ball: Ball,
    seed: int,
    sources: Sequence[Logits] = (),
) -> list[Check]:
    """Tests a model on some of the examples, mostly on those that it classifies correctly.

    Args:
        logits: the model.
        images: float32 [n, ...].
        labels: integers [n].
        right: bool [n], the examples that the model classifies correctly.
        ball: the threat model of the evaluation; attacks are compared in linf and l2 only.
        seed: seed of everything random.
        sources: other models, callables like `logits`, whose adversarial examples are also tried.

    Returns:
        A check per sign of gradient masking, with the evidence.
    """
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(right))[:_EXAMPLES]
    x, y = tf.constant(images[chosen]), tf.constant(labels[chosen])
    found = _of_gradients(logits, x, y)
    compared = (*_OF_ATTACKS, _TRANSFER)
    if ball.norm not in ("linf", "l2") or ball.epsilon == 0:
        why = f"attacks are compared in linf and l2, epsilon above 0; not in {ball.norm}"
        why += f", epsilon {ball.epsilon:g}"
        return found + [not_run(name, why) for name in (*compared, _LEAKING)]
    if len(chosen) >= _FEWEST:
        found += _of_attacks(logits, x, y, ball, seed, sources)
    else:
        why = f"{len(chosen)} images are right; needs {_FEWEST}"
        found += [not_run(name, why) for name in compared]
    sample = np.random.default_rng(seed).permutation(len(images))[:_LEAKING_EXAMPLES]
    x, y = tf.constant(images[sample]), tf.constant(labels[sample])
    one_step = FGSM(**dataclasses.asdict(ball))
    return [*found, _of_labels(logits, one_step, x, y, right[sample])]


def probes_left_out(why: str) -> list[Check]:
    """The checks of `find`, not run."""
    return [not_run(name, why) for name in (*_OF_GRADIENTS, *_OF_ATTACKS, _TRANSFER, _LEAKING)]


def left_out(why: str) -> list[Check]:
    """All checks of this module, not run."""
    rest = [not_run(name, why) for name in (_MONOTONE, _BLACK_BOX)]
    return [not_run(_NOISE, why), *probes_left_out(why), *rest]


def of_noise(attacks: Mapping[str, Attack], noisy: bool) -> Check:
    """Whether attacks on a model with noise at inference followed gradients of single draws."""
    if not noisy:
        return outcome(_NOISE, False, "the same images give the same logits each time")
    single = [
        name
        for name, attack in attacks.items()
        if attack.uses_gradients and getattr(attack, "draws", 1) == 1
    ]
    if not single:
        return outcome(_NOISE, False, "all attacks by gradients average them over draws")
    return outcome(
        _NOISE,
        True,
        "the same images give different logits each time, and "
        f"{', '.join(single)} followed gradients of single draws; average them (the ensemble rand)",
    )


def in_outcomes(
    outcomes: list[Outcome], right: np.ndarray, attacks: Mapping[str, Attack]
) -> list[Check]:
    """Checks of the accuracies themselves.

    Args:
        outcomes: outcomes of attacks, in the order of running.
        right: bool [n], the examples that the model classifies correctly.
        attacks: the attacks, by their names in the outcomes.

    Returns:
        Whether an accuracy rises with epsilon, and whether an attack by scores was stronger than
        those with gradients in a ball, with the evidence.
    """
    signs: list[str] = []
    compared: list[str] = []
    balls = dict.fromkeys((o.norm, o.epsilon) for o in outcomes if o.epsilon is not None)
    for ball in balls:
        own = [o for o in outcomes if (o.norm, o.epsilon) == ball]
        black = [o for o in own if not attacks[o.attack].uses_gradients]
        white = [o for o in own if _is_iterative(attacks[o.attack])]
        if black and white:
            signs += _of_black_boxes(black, white, right)
            compared.append(f"{ball[1]:g} ({ball[0]})")
    if compared:
        fine = f"attacks by scores find no more than attacks by gradients at {', '.join(compared)}"
        black_box = outcome(_BLACK_BOX, bool(signs), *(signs or [fine]))
    else:
        black_box = not_run(_BLACK_BOX, "needs an attack by scores and one by gradients")
    return [_not_monotone(outcomes, right), black_box]


def _not_monotone(outcomes: list[Outcome], right: np.ndarray) -> Check:
    by_name: dict[str, list[tuple[float, Outcome]]] = {}
    for each in outcomes:
        if each.epsilon is not None and np.array_equal(each.tried, right):
            by_name.setdefault(each.attack, []).append((each.epsilon, each))
    signs, compared = [], []
    for name, group in by_name.items():
        ordered = sorted(group, key=lambda pair: pair[0])
        for (near, small), (far, large) in itertools.pairwise(ordered):
            compared.append(name)
            if _more(large.stands, small.stands):
                signs.append(
                    f"{name} leaves {_percent(small.stands)} at {near:g} and "
                    f"{_percent(large.stands)} at {far:g}"
                )
    if not compared:
        return not_run(_MONOTONE, "needs an attack at two epsilons")
    fine = f"accuracy falls as epsilon grows under {', '.join(dict.fromkeys(compared))}"
    return outcome(_MONOTONE, bool(signs), *(signs or [fine]))


def _is_iterative(attack: Attack) -> bool:
    """Whether an attack follows gradients in several steps; to beat a single step is not a sign."""
    one_step = isinstance(attack, FGSM | RFGSM) or getattr(attack, "steps", None) == 1
    return attack.uses_gradients and not one_step


def _of_black_boxes(black: list[Outcome], white: list[Outcome], right: np.ndarray) -> list[str]:
    """Compares the attacks of one ball, run on the same examples or one after the other."""
    found = []
    same = [[o for o in group if np.array_equal(o.tried, right)] for group in (black, white)]
    if all(same):
        ours, theirs = (min(group, key=lambda outcome: outcome.stands.sum()) for group in same)
        if _more(theirs.stands, ours.stands):
            found.append(
                f"{ours.attack} leaves {_percent(ours.stands)} at {ours.epsilon:g}, "
                f"{theirs.attack}, the best with gradients, {_percent(theirs.stands)}"
            )
    for later in black:
        before = [o.attack for o in white if np.array_equal(o.stands & later.tried, later.tried)]
        if not np.array_equal(later.tried, right) and before and _more(later.tried, later.stands):
            found.append(
                f"of {_percent(later.tried)} left at {later.epsilon:g} by {', '.join(before)}, "
                f"{later.attack} leaves {_percent(later.stands)}"
            )
    return found


def _of_gradients(logits: Logits, x: tf.Tensor, y: tf.Tensor) -> list[Check]:
    _, _, gradient = losses.value_and_gradient(losses.cross_entropy, logits, x, y)
    flat = norms.flat(gradient)
    broken = int(tf.math.count_nonzero(~tf.reduce_all(tf.math.is_finite(flat), axis=1)))
    zero = int(tf.math.count_nonzero(tf.reduce_all(flat == 0, axis=1)))
    return [
        outcome(name, number > _LEAST * len(x), f"on {number} of {len(x)} images")
        for name, number in zip(_OF_GRADIENTS, (broken, zero), strict=True)
    ]


def _of_attacks(
    logits: Logits,
    x: tf.Tensor,
    y: tf.Tensor,
    ball: Ball,
    seed: int,
    sources: Sequence[Logits],
) -> list[Check]:
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
    pgd, noise, square = stands["pgd"], stands["noise"], stands["square, 200 queries"]
    noisy = (~noise).sum() > _LEAST * len(x) and not _more(noise, pgd)
    gain = np.mean(pgd) - np.mean(stands["pgd, 5 restarts"])
    found = {
        "one step stronger than many": (
            _more(pgd, stands["fgsm"]),
            f"FGSM leaves {share['fgsm']}, PGD {share['pgd']}",
        ),
        "black box stronger than white box": (
            _more(pgd, square),
            f"Square with 200 queries leaves {share['square, 200 queries']}, PGD {share['pgd']}",
        ),
        "noise as strong as an attack": (
            noisy,
            f"it leaves {share['noise']}, PGD {share['pgd']}",
        ),
        "restarts gain much": (
            gain > _MUCH,
            f"one attempt of PGD leaves {share['pgd']}, five leave {share['pgd, 5 restarts']}",
        ),
        "unbounded attacks fail": (
            np.mean(stands["widest"]) > _LEAST,
            f"PGD with epsilon {widest:g} leaves {share['widest']}",
        ),
    }
    checks = [outcome(name, bool(failed), line) for name, (failed, line) in found.items()]
    return [*checks, _of_transfer(logits, PGD(**steps), pgd, x, y, seed, sources)]


def _of_transfer(
    logits: Logits,
    attack: PGD,
    stands: np.ndarray,
    x: tf.Tensor,
    y: tf.Tensor,
    seed: int,
    sources: Sequence[Logits],
) -> Check:
    """Compares with the adversarial examples of other models; `stands` is under the model's own."""
    if not sources:
        return not_run(_TRANSFER, "no other models were given (sources)")
    lines, signs = [], []
    for number, source in enumerate(sources, 1):
        transfer = Transfer(attack=attack, sources=(source,))
        transferred = _stands(logits, transfer, x, y, seed)
        line = (
            f"PGD on source {number} leaves {_percent(transferred)}, PGD on the model itself "
            f"{_percent(stands)}"
        )
        lines.append(line)
        signs += [line] if _more(stands, transferred) else []
    return outcome(_TRANSFER, bool(signs), *(signs or lines))


def _of_labels(
    logits: Logits, one_step: Attack, x: tf.Tensor, y: tf.Tensor, right: np.ndarray
) -> Check:
    """Whether a model has learnt to read the label from the perturbation.

    "Adversarial Machine Learning at Scale" (Kurakin et al., 2017), section 4. The sign is that
    images are misclassified when clean, and classified correctly under attack.
    """
    stands = _stands(logits, one_step, x, y, 0)
    return outcome(
        _LEAKING,
        _more(stands, right, least=0.0),
        f"{_percent(right)} of {len(right)} images are right, and {_percent(stands)} under FGSM, "
        "which is given the labels",
    )


def _stands(logits: Logits, attack: Attack, x: tf.Tensor, y: tf.Tensor, seed: int) -> np.ndarray:
    def run(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.equal(tf.argmax(logits(attack(logits, x, y, seed=(seed, 0))), axis=1), y)

    specs = [tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in (x, y)]
    traced = graph(run, *specs)
    firsts = range(0, len(x), _EXAMPLES)  # in parts, to limit the memory
    return np.concatenate([traced(x[i : i + _EXAMPLES], y[i : i + _EXAMPLES]) for i in firsts])


def _more(one: np.ndarray, other: np.ndarray, least: float = _LEAST) -> bool:
    """Whether significantly more examples are robust in one than in the other: McNemar's test."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    clear = gained - lost > _SIGMAS * max(1, gained + lost) ** 0.5
    return clear and gained - lost > least * len(one)


def _percent(stands: np.ndarray) -> str:
    return percent(np.mean(stands), digits=1) + " %"
