"""Evaluates a model under several attacks, at several epsilons, example by example."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import stats

from robust_sparse_tf.attacks import Ascent, Attack, Ball, Bounded, Transfer
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.bounds.methods import METHODS
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import attack_checks, ensembles, inputs, masking
from robust_sparse_tf.evaluation import identity as identities
from robust_sparse_tf.evaluation.certificates import Certifier, training_ball
from robust_sparse_tf.evaluation.checks import Check, not_run, outcome
from robust_sparse_tf.evaluation.inputs import Data
from robust_sparse_tf.evaluation.judging import BATCH, Judge, draws_of, with_draws
from robust_sparse_tf.evaluation.memory import batch_size_for
from robust_sparse_tf.evaluation.report import RESERVED, Report, mostly
from robust_sparse_tf.evaluation.runner import Runner, Turns
from robust_sparse_tf.evaluation.state import State
from robust_sparse_tf.options import checked, checked_path, require, require_function, shown
from robust_sparse_tf.texts import percent
from robust_sparse_tf.training.noise import seeded_noise

_KNOWN_BY = 100  # images
_GRADIENTS = {
    True: "the logits have a gradient by the images",
    False: "the model has none; only score-based attacks count",
}


def evaluate(
    model: Any,
    data: Data,
    attacks: str | Mapping[str, Attack] = "quick",
    epsilons: Sequence[float] = (),
    *,
    ball: Ball | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    passes: int = 1,
    draws: int | None = None,
    sources: Sequence[Any] = (),
    training: Data | None = None,
    state: str | None = None,
    identity: str = "",
    check_masking: bool = True,
    certify: str | None = None,
    skip_certified: bool = False,
    on_batch: Callable[[str, int, int], None] = lambda name, done, size: None,
    verbose: bool = True,
) -> Report:
    """Attacks a model and reports how robust it is.

    Each attack of an ensemble runs only on the examples that the previous ones failed to fool.
    Attacks given by name run on all examples that the model classifies correctly.

    Args:
        model: tf_keras model, or any callable from float32 images [batch, ...] to logits.
        data: a `Split`, (images, labels), or a `tf.data.Dataset` of such pairs; see
            `inputs.images_and_labels`.
        attacks: the name of an ensemble ("quick", "standard" or "rand"), or attacks by name.
        epsilons: radii at which bounded attacks are run, in input units; step sizes are scaled in
            proportion. By default the attacks' own; for an ensemble, the ball's.
        ball: threat model of an ensemble. The default is linf or, without `epsilons`, the threat
            model of the training attack, or of the bounds in training. Its range is that of the
            images, by default [0, 1]; attacks given by name must have the same range.
        seed: of everything random, noise on weights included.
        batch_size: examples attacked at a time. The default is the number whose activations fit
            into 2 GB, at most 500, see `memory.batch_size_for`.
        passes: forward passes per example, for models with noise at inference. An example counts as
            robust if most are correct; the report also has their mean accuracy with its standard
            error.
        draws: gradients that attacks average per step, instead of their own number, for models
            with noise at inference; attacks without such an option keep single gradients.
        sources: other models, whose adversarial examples the test for gradient masking tries on
            this one.
        training: the training data, in any form of `data`. If more than a few of the attacked
            images are among them, a check fails.
        state: file to which progress is saved after each batch, and from which it resumes. If it is
            of another model, the evaluation starts again, with a warning.
        identity: a digest that identifies the model, such as that of its file. The default is
            computed from the layers and weights of a tf_keras model, or from the logits of a
            function.
        check_masking: whether to test for gradient masking (see `masking.find`).
        certify: bounds that certify examples in the balls of the attacks, "interval" or "linear"
            (see `bounds.margin_bounds`), or "none". The default is "interval" for a model that
            trains on bounds, otherwise "none".
        skip_certified: whether attacks with a radius leave out the examples that are certified in
            it, which no attack can fool; they count as robust.
        on_batch: called with progress: (name, examples done, all examples).
        verbose: whether to print a line as each attack ends.

    Raises:
        InputError: if data, model, attacks or state do not fit.
    """
    passes = checked("passes", passes, int, minimum=1)
    draws = None if draws is None else checked("draws", draws, int, minimum=1)
    if batch_size is None:
        batch_size = batch_size_for(model)
    batch_size = checked("batch_size", batch_size, int, minimum=1)
    seed = checked("seed", seed, int)
    check_masking = checked("check_masking", check_masking, bool)
    verbose = checked("verbose", verbose, bool)
    skip_certified = checked("skip_certified", skip_certified, bool)
    certify = _bounds_of(model) if certify is None else certify
    checked("certify", certify, str, choices=("none", *METHODS))
    state = None if state is None else checked_path("state", state)
    identity = checked("identity", identity, str)
    require("sources", sources, list, tuple)
    require_function("on_batch", on_batch, 3)
    images, labels, logits, classes, ball, epsilons, turns = plan(
        model, data, attacks, epsilons, ball, draws
    )
    if certify == "none" and skip_certified:
        raise InputError("skip_certified=True: must be False with certify=none")
    if certify != "none":  # refuses layers before hours are spent
        Certifier(model, ball)((images[:1], labels[:1]))
    seen = attack_checks.of_training_images(images, training, ball.limits)
    others = [inputs.checked_logits(source, images, labels)[0] for source in sources]
    with inputs.as_they_run(logits, *others), seeded_noise(model, seed):
        logits, differentiable = inputs.connected(logits, images)
        runner = Runner(
            logits, images, labels, ball.limits, batch_size, passes, seed, on_batch, verbose
        )
        drawn = runner.predictions()
        clean = drawn == labels[:, None]
        if verbose:
            print(f"clean: accuracy {percent(mostly(clean).mean())} % of {len(labels)} examples")
        noisy = inputs.is_noisy(logits, images)
        known = identity or identities.of_network(model)
        if not known and noisy and state:
            raise InputError(
                f"state={state}: needs identity=, as the model is a function with noise"
            )
        known = known or identities.of_logits(logits(tf.constant(images[:_KNOWN_BY])).numpy())
        # A deterministic model is also identified by its predictions.
        whole = known if noisy else f"{known} {inputs.digest(drawn, labels)}"
        saved = State(state, _asked(turns, seed, passes, inputs.digest(images, labels)), whole)
        balls = _balls(turns, epsilons, ball.limits)
        certified = _certified(model, (images, labels), balls, certify, verbose)
        safe = certified if skip_certified else {}
        outcomes = list(runner.run_all(turns, clean, epsilons, saved, safe))
        warnings = list(ensembles.notes(attacks, classes) if isinstance(attacks, str) else ())
        if draws and draws > 1 and not noisy:
            warnings.append(
                f"draws={draws}: the model has no noise, so that all draws have the same gradient"
            )
        checks = [
            outcome("no gradient", not differentiable, _GRADIENTS[differentiable]),
            _of_batches(logits, images, noisy),
        ]
        if not check_masking:
            why = "check_masking=False"
            checks += [*attack_checks.left_out(why), *masking.left_out(why)]
        else:
            named = {name: attack for _, members in turns for name, attack in members.items()}
            right = mostly(clean)
            checks += attack_checks.find(turns, outcomes, noisy)
            probed = next(
                (Ball(o.norm, o.epsilon, *ball.limits) for o in outcomes if o.epsilon), None
            )
            judge = Judge(
                logits,
                seed,
                draws=max(map(draws_of, named.values())),
                passes=passes,
                noisy=noisy,
                batch_size=min(batch_size, BATCH),
            )
            checks += _probes(judge, images, labels, right, probed, others, verbose)
            checks += masking.in_outcomes(outcomes, right, named, noisy)
        checks.append(seen)
        warnings += [line for check in checks for line in check.warnings]
        return Report(
            certified=certified,
            skipped=skip_certified,
            labels=labels,
            predictions=stats.mode(drawn, axis=1).mode,
            judged=clean,
            outcomes=outcomes,
            warnings=warnings,
            checks=checks,
            pictures=runner.pictures,
            model=known,
        )


def _probes(
    judge: Judge,
    images: np.ndarray,
    labels: np.ndarray,
    right: np.ndarray,
    ball: Ball | None,
    sources: Sequence[Logits],
    verbose: bool,
) -> list[Check]:
    """The checks of `masking.find`, where there is a ball and something to probe."""
    if not ball or not right.any():
        return masking.probes_left_out("needs an epsilon above 0, and right images")
    if verbose:
        print("testing for gradient masking", flush=True)
    return masking.find(judge, images, labels, right, ball, sources)


def _bounds_of(model: Any) -> str:
    """The default bounds: intervals for a model that trains on bounds."""
    return "interval" if training_ball(getattr(model, "objective", None)) else "none"


def _certified(
    model: Any,
    data: tuple[np.ndarray, np.ndarray],
    balls: Sequence[Ball],
    method: str,
    verbose: bool,
) -> dict[tuple[str, float], np.ndarray]:
    """The examples that are certified in each ball, by norm and radius."""
    if method == "none":
        return {}
    if verbose:
        print(f"certifying with {method} bounds", flush=True)
    return {
        (ball.norm, ball.epsilon): Certifier(model, ball, method=method)(data) for ball in balls
    }


def _balls(turns: Turns, epsilons: Sequence[float], limits: tuple[float, float]) -> list[Ball]:
    """The balls of all rows: the radius of a turn or, without it, each of the epsilons."""
    found = dict.fromkeys(
        (attack.norm, radius)
        for epsilon, members in turns
        for attack in members.values()
        for radius in (epsilons if epsilon is None else [epsilon])
    )
    return [Ball(norm, radius, *limits) for norm, radius in found]


def _of_batches(logits: Logits, images: np.ndarray, noisy: bool) -> Check:
    """Whether the logits of an image depend on the others of its batch."""
    if noisy:
        return not_run("mixed examples", "the logits are other ones each time")
    if not inputs.mixes(logits, images):
        return outcome("mixed examples", False, "an image's logits are the same in any batch")
    return outcome(
        "mixed examples",
        True,
        "the logits of an image depend on the others of its batch (batch normalization as in "
        "training?), and so does its accuracy",
    )


class Plan(NamedTuple):
    """The plan of an evaluation: examples, model, and attacks."""

    images: np.ndarray
    labels: np.ndarray
    logits: Logits
    classes: int
    ball: Ball
    epsilons: list[float]
    turns: Turns


def plan(
    model: Any,
    data: Data,
    attacks: str | Mapping[str, Attack],
    epsilons: Sequence[float],
    ball: Ball | None,
    draws: int | None = None,
) -> Plan:
    """Checks the arguments of `evaluate` before any attack; raises the same errors."""
    if ball is not None:
        require("ball", ball, Ball)
    epsilons = _distances(epsilons)
    ball = ball or _default_ball(model, attacks, epsilons)
    images, labels = inputs.images_and_labels(data, ball.limits)
    logits, classes = inputs.checked_logits(model, images, labels)
    turns = _turns(attacks, epsilons, ball, classes)
    if draws is not None:
        turns = [
            (radius, {name: with_draws(attack, draws) for name, attack in members.items()})
            for radius, members in turns
        ]
    return Plan(images, labels, logits, classes, ball, epsilons, turns)


def _turns(
    attacks: str | Mapping[str, Attack],
    epsilons: Sequence[float],
    ball: Ball,
    classes: int,
) -> Turns:
    """Pairs (epsilon, attacks that run one after the other), each on all correct examples."""
    if not isinstance(attacks, str):
        named = _one_by_one(attacks, epsilons, ball.limits)
        return [(epsilon, {name: attack}) for name, attack, epsilon in named]
    radii = epsilons or [ball.epsilon]
    return [(radius, ensembles.make(attacks, ball.at(radius), classes)) for radius in radii]


def _distances(epsilons: Sequence[float]) -> list[float]:
    """The epsilons without duplicates.

    Raises:
        InputError: for negative values and values that are not numbers.
    """
    if not isinstance(epsilons, Iterable) or isinstance(epsilons, str | bytes | Mapping):
        raise InputError(f"epsilons={shown(epsilons)}: must be a list of numbers")
    found = [float(checked("epsilon", epsilon, float, minimum=0)) for epsilon in epsilons]
    return list(dict.fromkeys(found))


def _default_ball(
    model: Any, attacks: str | Mapping[str, Attack], epsilons: Sequence[float]
) -> Ball:
    """The default threat model; for attacks given by name, only its range matters."""
    if epsilons or not isinstance(attacks, str):
        return Ball("linf", epsilons[0] if epsilons else 0.0)
    if ball := training_ball(getattr(model, "objective", None)):
        return ball
    attack = getattr(model, "attack", None)
    if not isinstance(attack, Ascent):
        raise InputError("epsilons=(): must be given, as the model was not trained at one epsilon")
    return attack.ball


def _one_by_one(
    attacks: Mapping[str, Attack], epsilons: Sequence[float], limits: tuple[float, float]
) -> list[tuple[str, Attack, float | None]]:
    if not isinstance(attacks, Mapping) or not attacks:
        raise InputError(
            f"attacks={shown(attacks)}: must be {', '.join(ensembles.NAMES)} or attacks by name, "
            "as in {'pgd': PGD()}"
        )
    found: list[tuple[str, Attack, float | None]] = []
    for name, attack in attacks.items():
        checked("name of an attack", name, str)
        if not isinstance(attack, Attack) or attack.targeted:
            raise InputError(f"attacks[{name!r}]={shown(attack)}: must be an untargeted Attack")
        if name in RESERVED:
            raise InputError(f"attacks[{name!r}]: this name is taken by a row of every report")
        if attack.limits != limits:
            (low, high), (least, most) = attack.limits, limits
            raise InputError(
                f"attacks[{name!r}]: keeps to values in [{low:g}, {high:g}]; must keep to those "
                f"of the evaluation, [{least:g}, {most:g}], which ball=Ball(..., low=, high=) says"
            )
        run = attack.attack if isinstance(attack, Transfer) else attack
        if isinstance(attack, Bounded | Transfer) and isinstance(run, Bounded):
            found += [(name, attack.at(radius), radius) for radius in epsilons or [run.epsilon]]
        else:
            found.append((name, attack, None))
    return found


def _asked(turns: Turns, seed: int, passes: int, examples: str) -> dict[str, object]:
    members = [[epsilon, {n: _described(a) for n, a in named.items()}] for epsilon, named in turns]
    return {"attacks": members, "seed": seed, "draws": passes, "examples": examples}


def _described(attack: Attack) -> str:
    """The attack as text, without options at their defaults that came later: progress counts."""
    text = re.sub(r"\b((?:FGSM|RFGSM|MIM)\([^()]*), draws=1\)", r"\1)", repr(attack))
    return re.sub(r"\b((?:PGD|BIM)\([^()]*), loss='ce'\)", r"\1)", text)
