"""Confidence intervals of accuracies."""

from scipy import stats

from robust_sparse_tf.errors import InputError


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, by SciPy.

    "Probable Inference, the Law of Succession, and Statistical Inference" (Wilson, 1927). It stays
    in [0, 1] and has a width at 0 and at n successes, too; no continuity correction.

    Args:
        successes: how many of n, for example examples that an attack leaves correct.
        n: how many in all.
        level: probability with which such intervals hold the true proportion.

    Returns:
        (low, high).

    Raises:
        InputError: for counts that are none, or a level outside (0, 1).
    """
    if int(n) != n or n < 1:
        raise InputError(f"n={n}: must be a whole number of at least 1")
    if int(successes) != successes or not 0 <= successes <= n:
        raise InputError(f"successes={successes}: must be a whole number between 0 and n={n}")
    if not 0 < level < 1:
        raise InputError(f"level={level}: must be above 0 and below 1")
    found = stats.binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
