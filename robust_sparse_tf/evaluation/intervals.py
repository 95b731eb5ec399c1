"""Confidence intervals of accuracies."""

from scipy import stats

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked


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
    n = checked("n", n, int, minimum=1)
    successes = checked("successes", successes, int, minimum=0, maximum=n)
    level = checked("level", level, float, above=0, maximum=1)
    if level == 1:
        raise InputError(f"level={level}: must be below 1")
    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)
