"""Confidence intervals of accuracies, over examples and over trainings."""

import math
import statistics
from collections.abc import Sequence

from scipy import stats

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, by SciPy.

    "Probable Inference, the Law of Succession, and Statistical Inference" (Wilson, 1927). It stays
    in [0, 1], and does not collapse at 0 or n successes. No continuity correction.

    Args:
        successes: number of successes, such as examples that stay correct under attack.
        n: number of trials, such as all examples.
        level: probability that such intervals contain the true proportion.

    Returns:
        (low, high).

    Raises:
        InputError: for invalid counts, or a level outside (0, 1).
    """
    n = checked("n", n, int, minimum=1)
    successes = checked("successes", successes, int, minimum=0, maximum=n)
    level = _level(level)
    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def student(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval for the mean of a normal distribution, from a sample.

    "The Probable Error of a Mean" (Student, 1908). The interval is not cut to [0, 1].

    Args:
        values: for example accuracies of trainings with different seeds.
        level: probability that such intervals contain the true mean.

    Returns:
        (low, high); None for fewer than two values.

    Raises:
        InputError: for values that are not numbers, or a level outside (0, 1).
    """
    values = [checked("value", value, float) for value in values]
    level, count = _level(level), len(values)
    if count < 2:
        return None
    factor = float(stats.t.ppf((1 + level) / 2, count - 1))
    reach = factor * statistics.stdev(values) / math.sqrt(count)
    mean = statistics.fmean(values)
    return mean - reach, mean + reach


def _level(level: float) -> float:
    level = checked("level", level, float, above=0, maximum=1)
    if level == 1:
        raise InputError(f"level={level}: must be below 1")
    return level
