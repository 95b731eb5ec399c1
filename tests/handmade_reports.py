"""Reports of ten images, made by hand."""

import numpy as np

from robust_sparse_tf.comparison import Comparison, Trial
from robust_sparse_tf.evaluation import Outcome, Report


def first(count):
    """Of ten images, by one draw, which are right: the first ones."""
    return np.arange(10)[:, None] < count


def outcome(attack, epsilon, count, norm="linf"):
    numbers = np.zeros(10, np.float32)
    return Outcome(
        attack=attack,
        norm=norm,
        epsilon=epsilon,
        tried=np.ones(10, bool),
        judged=first(count),
        distance=numbers,
        queries=numbers,
        seconds=numbers,
    )


def report(clean, attacked, warnings=()):
    """Attacked holds (attack, epsilon, how many are right after it)."""
    labels = np.zeros(10, np.int64)
    return Report(
        labels=labels,
        predictions=labels,
        judged=first(clean),
        outcomes=[outcome(*each) for each in attacked],
        warnings=list(warnings),
        pictures={},
    )


def trial(method, seed, clean, attacked, density=1.0, **given):
    return Trial(
        method=method,
        seed=seed,
        density=density,
        seconds=1.0,
        report=report(clean, attacked, **given),
    )


def comparison(**given):
    """Two methods, two attacks, three seeds of one and one of the other."""
    trials = [
        trial("dense", seed, clean, [("fgsm", 0.1, fgsm), ("pgd", 0.1, pgd)])
        for seed, clean, fgsm, pgd in [(0, 10, 6, 5), (1, 9, 5, 3), (2, 8, 4, 4)]
    ]
    trials.append(trial("a_b & c", 1, 7, [("fgsm", 0.1, 3), ("pgd", 0.1, 2)], density=0.25))
    return Comparison(trials=trials, **given)
