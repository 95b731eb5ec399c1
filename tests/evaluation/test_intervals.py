import hypothesis
import hypothesis.strategies as st
import pytest
from scipy.special import ndtri

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.intervals import wilson


@pytest.mark.parametrize(
    "successes, n, low, high",
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(successes, n, low, high):
    """Newcombe, "Two-Sided Confidence Intervals for the Single Proportion", 1998, table I."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@hypothesis.given(n=st.integers(1, 20000), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_formula(n, share, level):
    """The roots of (p - share)^2 = z^2 p (1 - p) / n, as statsmodels writes them."""
    successes = round(share * n)
    p, z = successes / n, ndtri((1 + level) / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    low, high = wilson(successes, n, level)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert 0 <= low <= p <= high <= 1 and low < high
    mirrored = wilson(n - successes, n, level)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(successes=0, n=0), "n=0: must be at least 1"),
        (dict(successes=5, n=4), "successes=5: must be at least 0 and at most 4"),
        (dict(successes=-1, n=4), "successes=-1"),
        (dict(successes=0.5, n=4), "successes=0.5"),
        (dict(successes=1, n=4, level=1.0), "level=1.0: must be below 1"),
        (dict(successes=1, n=4, level=float("nan")), "level=nan"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        wilson(**arguments)
