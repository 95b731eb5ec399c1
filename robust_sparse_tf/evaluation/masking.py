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
)
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.evaluation.checks import Check, not_run, outcome
from robust_sparse_tf.evaluation.judging import Judge
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.texts import percent

_EXAMPLES = 200
_LEAKING_EXAMPLES = 1000
_SIGMAS = 3.0  # significance level of reported differences
_LEAST = 0.02  # and their minimum size, as a fraction of the examples
_MUCH = 0.1  # of accuracy that restarts take; of images on which gradients do no better than noise
# Fewer examples are not evidence.
_FEWEST = 10


_OF_GRADIENTS = ("NaN or infinite gradients", "zero gradients")
_ONE_STEP = "one step stronger than many"
_BLACK_BOX = "black box stronger than white box"
_RANDOM = "noise as strong as an attack"
_RESTARTS = "restarts gain much"
_UNBOUNDED = "unbounded attacks fail"
_TRANSFER = "transfer stronger than white box"
_OF_ATTACKS = (_ONE_STEP, _BLACK_BOX, _RANDOM, _RESTARTS, _UNBOUNDED, _TRANSFER)
_LEAKING = "label leaking"
_MONOTONE = "not monotone in epsilon"


def find(
    judge: Judge,
    images: np.ndarray,
    labels: np.ndarray,
    right: np.ndarray,
    ball: Ball,
    sources: Sequence[Logits] = (),
) -> list[Check]:
    """Tests a model on some of the examples, mostly on those that it classifies correctly.

    Both sides of each comparison have the same draws, those of `judge`.

    Args:
        judge: the model, and how it is attacked and judged.
        images: float32 [n, ...].
        labels: integers [n].
        right: bool [n], the examples that the model classifies correctly.
        ball: the threat model of the evaluation; attacks are compared in linf and l2 only.
        sources: other models, callables from images to logits, whose adversarial examples are also
            tried.

    Returns:
        A check per sign of gradient masking, with the evidence.
    """
    chosen = np.random.default_rng(judge.seed).permutation(np.flatnonzero(right))[:_EXAMPLES]
    x, y = tf.constant(images[chosen]), tf.constant(labels[chosen])
    found = _of_gradients(judge.gradients(x, y))
    if ball.norm not in ("linf", "l2") or ball.epsilon == 0:
        why = f"attacks are compared in linf and l2, epsilon above 0; not in {ball.norm}"
        why += f", epsilon {ball.epsilon:g}"
        return found + [not_run(name, why) for name in (*_OF_ATTACKS, _LEAKING)]
    if len(chosen) >= _FEWEST:
        found += _of_attacks(judge, x, y, ball, sources)
    else:
        why = f"{len(chosen)} images are right; needs {_FEWEST}"
        found += [not_run(name, why) for name in _OF_ATTACKS]
    sample = np.random.default_rng(judge.seed).permutation(len(images))[:_LEAKING_EXAMPLES]
    x, y = tf.constant(images[sample]), tf.constant(labels[sample])
    one_step = FGSM(**dataclasses.asdict(ball))
    return [*found, _of_labels(right[sample], judge.stands(one_step, x, y))]


def probes_left_out(why: str) -> list[Check]:
    """The checks of `find`, not run."""
    return [not_run(name, why) for name in (*_OF_GRADIENTS, *_OF_ATTACKS, _LEAKING)]


def left_out(why: str) -> list[Check]:
    """All checks of this module, not run."""
    return [*probes_left_out(why), *(not_run(name, why) for name in (_MONOTONE, _BLACK_BOX))]


def in_outcomes(
    outcomes: list[Outcome], right: np.ndarray, attacks: Mapping[str, Attack], noisy: bool = False
) -> list[Check]:
    """Checks of the accuracies themselves.

    Args:
        outcomes: outcomes of attacks, in the order of running.
        right: bool [n], the examples that the model classifies correctly.
        attacks: the attacks, by their names in the outcomes.
        noisy: whether the model has noise at inference. Then attacks that run one after the other
            are not compared, as each draws again, which alone fools some of what is left.

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
            signs += _of_same_examples(black, white, right)
            signs += [] if noisy else _of_what_is_left(black, white, right)
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


def _of_same_examples(black: list[Outcome], white: list[Outcome], right: np.ndarray) -> list[str]:
    """Compares the attacks of one ball that were run on all correct examples."""
    same = [[o for o in group if np.array_equal(o.tried, right)] for group in (black, white)]
    if not all(same):
        return []
    ours, theirs = (min(group, key=lambda outcome: outcome.stands.sum()) for group in same)
    if not _more(theirs.stands, ours.stands):
        return []
    return [
        f"{ours.attack} leaves {_percent(ours.stands)} at {ours.epsilon:g}, "
        f"{theirs.attack}, the best with gradients, {_percent(theirs.stands)}"
    ]


def _of_what_is_left(black: list[Outcome], white: list[Outcome], right: np.ndarray) -> list[str]:
    """Compares the attacks of one ball that were run one after the other."""
    found = []
    for later in black:
        before = [o.attack for o in white if np.array_equal(o.stands & later.tried, later.tried)]
        if not np.array_equal(later.tried, right) and before and _more(later.tried, later.stands):
            found.append(
                f"of {_percent(later.tried)} left at {later.epsilon:g} by {', '.join(before)}, "
                f"{later.attack} leaves {_percent(later.stands)}"
            )
    return found


def _of_gradients(gradients: np.ndarray) -> list[Check]:
    flat = gradients.reshape(len(gradients), -1)
    broken = int((~np.isfinite(flat).all(axis=1)).sum())
    zero = int((flat == 0).all(axis=1).sum())
    return [
        outcome(name, number > _LEAST * len(flat), f"on {number} of {len(flat)} images")
        for name, number in zip(_OF_GRADIENTS, (broken, zero), strict=True)
    ]


def _of_attacks(
    judge: Judge, x: tf.Tensor, y: tf.Tensor, ball: Ball, sources: Sequence[Logits]
) -> list[Check]:
    same = dataclasses.asdict(ball)
    pgd = PGD(steps=20, random_start=True, **same)
    five = dataclasses.replace(pgd, restarts=5)
    stands = {
        name: judge.stands(attack, x, y)
        for name, attack in {
            "noise": UniformNoise(**same),
            "fgsm": FGSM(**same),
            "pgd": pgd,
            "pgd, 5 restarts": five,
            "square, 200 queries": Square(queries=200, **same),
        }.items()
    }
    share = {name: _percent(values) for name, values in stands.items()}
    gain = np.mean(stands["pgd"]) - np.mean(stands["pgd, 5 restarts"])
    return [
        outcome(
            _ONE_STEP,
            _more(stands["pgd"], stands["fgsm"]),
            f"FGSM leaves {share['fgsm']}, PGD {share['pgd']}",
        ),
        outcome(
            _BLACK_BOX,
            # Five attempts take as many passes; one says little of flat, certified networks.
            _more(stands["pgd, 5 restarts"], stands["square, 200 queries"]),
            f"Square with 200 queries leaves {share['square, 200 queries']}, PGD with 5 attempts "
            f"{share['pgd, 5 restarts']}",
        ),
        _of_uniform_noise(judge, five, stands["noise"], stands["pgd"], x, y),
        outcome(
            _RESTARTS,
            bool(gain > _MUCH),
            f"one attempt of PGD leaves {share['pgd']}, five leave {share['pgd, 5 restarts']}",
        ),
        _of_unbounded(judge, five, x, y),
        _of_transfer(judge, pgd, stands["pgd"], x, y, sources),
    ]


def _of_uniform_noise(
    judge: Judge, attack: PGD, noise: np.ndarray, pgd: np.ndarray, x: tf.Tensor, y: tf.Tensor
) -> Check:
    """Whether noise fools images, PGD hardly more, and gradients do not help; see `_ahead`."""
    line = f"it leaves {_percent(noise)}, PGD {_percent(pgd)}"
    if judge.noisy:  # a model with noise is also fooled by its own
        fools = _more(judge.stands(None, x, y), noise)
    else:
        fools = bool((~noise).sum() > _LEAST * len(noise))
    if not fools or _more(noise, pgd):
        return outcome(_RANDOM, False, line)
    ahead = _ahead(judge, attack, x, y)
    return outcome(_RANDOM, _is_behind(ahead), f"{line}; {_lowered(attack, ahead)}")


def _ahead(judge: Judge, attack: PGD, x: tf.Tensor, y: tf.Tensor) -> np.ndarray:
    """Where gradients help: the attack lowers the margin more than random noise does, bool [n].

    Noise of the same size is weak, so that an attack that follows useful gradients lowers the
    margin of logits more, whether or not it fools the model. One without them stays at the random
    points where it starts.
    """
    noise = UniformNoise(**dataclasses.asdict(attack.ball))
    lower = judge.margins(attack, x, y) < judge.margins(noise, x, y)
    return np.asarray(lower)


def _is_behind(ahead: np.ndarray) -> bool:
    return bool(np.mean(~ahead) > _MUCH)


def _lowered(attack: PGD, ahead: np.ndarray) -> str:
    return (
        f"with epsilon {attack.epsilon:g} PGD lowers the margins of {ahead.sum()} of these "
        f"{len(ahead)} images more than noise does"
    )


def _of_unbounded(judge: Judge, attack: PGD, x: tf.Tensor, y: tf.Tensor) -> Check:
    """Whether an attack fails that may change images into anything, for want of gradients.

    "On Evaluating Adversarial Robustness" (Carlini et al., 2019), section 4, has attacks with a
    large epsilon bring the accuracy down to that of a guess: images of other classes are in the
    ball, so that an attack that fails is broken. But it may break on its way. Networks that are
    trained on interval bounds are flat far from the data: the attack works in balls like those of
    training, and gets stuck on a plateau behind them, which does not make the accuracy within
    epsilon too high. So images that stay right are a sign only if gradients do not help within
    epsilon either, on more than a tenth of them; see `_ahead`.
    """
    ball = attack.ball
    longest = math.prod(x.shape[1:]) ** 0.5 if ball.norm == "l2" else 1.0
    widest = (ball.high - ball.low) * longest
    unbounded = PGD(
        steps=40,
        step_size=widest / 20,
        stop_when_fooled=True,
        **dataclasses.asdict(ball.at(widest)),
    )
    left = judge.stands(unbounded, x, y)
    line = f"PGD with epsilon {widest:g} leaves {_percent(left)}"
    if np.mean(left) <= _LEAST:
        return outcome(_UNBOUNDED, False, line)
    ahead = _ahead(judge, attack, tf.boolean_mask(x, left), tf.boolean_mask(y, left))
    return outcome(_UNBOUNDED, _is_behind(ahead), f"{line}; {_lowered(attack, ahead)}")


def _of_transfer(
    judge: Judge,
    attack: PGD,
    stands: np.ndarray,
    x: tf.Tensor,
    y: tf.Tensor,
    sources: Sequence[Logits],
) -> Check:
    """Compares with the adversarial examples of other models; `stands` is under the model's own."""
    if not sources:
        return not_run(_TRANSFER, "no other models were given (sources)")
    lines, signs = [], []
    for number, source in enumerate(sources, 1):
        transferred = judge.stands(Transfer(attack=attack, sources=(source,)), x, y)
        line = (
            f"PGD on source {number} leaves {_percent(transferred)}, PGD on the model itself "
            f"{_percent(stands)}"
        )
        lines.append(line)
        signs += [line] if _more(stands, transferred) else []
    return outcome(_TRANSFER, bool(signs), *(signs or lines))


def _of_labels(right: np.ndarray, stands: np.ndarray) -> Check:
    """Whether a model has learnt to read the label from the perturbation.

    "Adversarial Machine Learning at Scale" (Kurakin et al., 2017), section 4. The sign is that
    images are misclassified when clean, and classified correctly under a one-step attack.
    """
    return outcome(
        _LEAKING,
        _more(stands, right, least=0.0),
        f"{_percent(right)} of {len(right)} images are right, and {_percent(stands)} under FGSM, "
        "which is given the labels",
    )


def _more(one: np.ndarray, other: np.ndarray, least: float = _LEAST) -> bool:
    """Whether significantly more examples are robust in one than in the other: McNemar's test."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    clear = gained - lost > _SIGMAS * max(1, gained + lost) ** 0.5
    return clear and gained - lost > least * len(one)


def _percent(stands: np.ndarray) -> str:
    return percent(np.mean(stands), digits=1) + " %"
