"""Checks of the attacks of an evaluation themselves, and of the images that they attack."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from robust_sparse_tf.attacks import APGD, Ascent, Attack, Transfer
from robust_sparse_tf.attacks.base import Stepwise
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.checks import Check, not_run, outcome
from robust_sparse_tf.evaluation.inputs import Data, images_and_labels, pixels_scaled
from robust_sparse_tf.evaluation.judging import draws_of
from robust_sparse_tf.evaluation.report import Outcome
from robust_sparse_tf.evaluation.runner import Turns

_NOISE = "noise at inference"
_REACH = "reach"
_OWN_LABELS = "own labels"
_SEEN = "test images in training"
_FEWEST = 10  # images whose median distance is evidence
_SEEN_LEAST = 0.02  # of the images, as data sets have a few duplicates
_PART = 1000  # images converted at a time


def find(turns: Turns, outcomes: Iterable[Outcome], noisy: bool) -> list[Check]:
    """The checks of an evaluation's attacks.

    Args:
        turns: pairs (epsilon, attacks by name).
        outcomes: what the attacks did.
        noisy: whether the model has noise at inference.
    """
    attacks = {name: attack for _, members in turns for name, attack in members.items()}
    return [of_noise(attacks, noisy), of_reach(turns, outcomes), of_own_labels(attacks)]


def left_out(why: str) -> list[Check]:
    """The checks of `find`, not run."""
    return [not_run(name, why) for name in (_NOISE, _REACH, _OWN_LABELS)]


def of_noise(attacks: Mapping[str, Attack], noisy: bool) -> Check:
    """Whether attacks on a model with noise at inference followed gradients of single draws."""
    if not noisy:
        return outcome(_NOISE, False, "the same images give the same logits each time")
    single = [
        name for name, attack in attacks.items() if attack.uses_gradients and draws_of(attack) == 1
    ]
    if not single:
        return outcome(_NOISE, False, "all attacks by gradients average them over draws")
    return outcome(
        _NOISE,
        True,
        "the same images give different logits each time, and "
        f"{', '.join(single)} followed gradients of single draws; average them (the ensemble rand)",
    )


def of_reach(turns: Turns, outcomes: Iterable[Outcome]) -> Check:
    """Whether attacks by gradients can reach the surface of their ball, and come near it.

    An attack that starts at x and whose steps together are shorter than epsilon tests a smaller
    ball than it says. So does one that moves the median image that stays robust by less than half
    of epsilon: with room left, an attack that works moves on.
    """
    given = {(name, epsilon): attack for epsilon, own in turns for name, attack in own.items()}
    signs: list[str] = []
    reached: list[str] = []
    for each in outcomes:
        attack = given.get((each.attack, each.epsilon))
        attack = attack.attack if isinstance(attack, Transfer) else attack
        if not each.epsilon or not isinstance(attack, Ascent | APGD):
            continue
        if isinstance(attack, Stepwise) and not getattr(attack, "random_start", False):
            length = attack.steps * attack.step_length
            if length < each.epsilon * (1 - 1e-6):
                signs.append(
                    f"{each.attack} starts at the image, and its {attack.steps} steps of "
                    f"{attack.step_length:.4g} are {length:.4g} long together, at epsilon "
                    f"{each.epsilon:.4g}"
                )
                continue
        robust = each.distance[each.tried & each.stands]
        if len(robust) < _FEWEST:
            continue
        line = (
            f"{each.attack} moved the median image that stays robust by {np.median(robust):.4g} "
            f"({each.norm}), at epsilon {each.epsilon:.4g}"
        )
        (signs if np.median(robust) < each.epsilon / 2 else reached).append(line)
    if signs or reached:
        return outcome(_REACH, bool(signs), *(signs or reached))
    return not_run(_REACH, f"needs an attack by gradients that leaves {_FEWEST} images robust")


def of_own_labels(attacks: Mapping[str, Attack]) -> Check:
    """Whether attacks moved away from the model's own predictions instead of the labels.

    With noise at inference they may lead to the label; and where images are attacked that are
    misclassified already, they may correct them.
    """
    own = [name for name, attack in attacks.items() if attack.attack_labels == "predicted"]
    if not own:
        return outcome(_OWN_LABELS, False, "all attacks move away from the labels")
    return outcome(
        _OWN_LABELS, True, f"{', '.join(own)} moved away from the predictions (attack_labels)"
    )


def of_training_images(
    images: np.ndarray, training: Data | None, limits: tuple[float, float]
) -> Check:
    """Whether attacked images are among those of training, to the bit.

    Args:
        images: float32 [n, ...], the attacked images.
        training: the training images; None if they are not known.
        limits: minimum and maximum value of images.

    Raises:
        InputError: if the training images do not fit, see `inputs.images_and_labels`.
    """
    if training is None:
        return not_run(_SEEN, "no training images were given (training)")
    known = set(map(_digest, images))
    try:
        seen = {digest for each in _rows(training, limits) if (digest := _digest(each)) in known}
    except InputError as error:
        raise InputError(f"training: {error}") from error
    number = sum(_digest(each) in seen for each in images)
    return outcome(
        _SEEN,
        number > _SEEN_LEAST * len(images),
        f"{number} of {len(images)} images are training images",
    )


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()


def _rows(data: Data, limits: tuple[float, float]) -> Iterator[np.ndarray]:
    """The images one by one, float32; those of a `Split` are converted in parts."""
    if not isinstance(data, Split):
        yield from images_and_labels(data, limits)[0]
        return
    for first in range(0, data.size, _PART):
        yield from pixels_scaled(data.images[first : first + _PART])
