import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.intervals import student, wilson


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


def test_student_of_a_published_example():
    """Student's sleep data, "The Probable Error of a Mean" (1908), by R's `t.test`."""
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert student(gained) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


@pytest.mark.parametrize("count, level", [(2, 0.5), (3, 0.95), (20, 0.99)])
def test_student_by_its_formula(count, level):
    values = np.random.default_rng(count).uniform(-1, 1, count)
    low, high = student(values.tolist(), level)
    half = stdtrit(count - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(count)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-12)


def test_student_needs_two_values():
    assert student([0.5]) is None and student([]) is None
    for arguments, words in (((["a"],), "value='a'"), (([1, 2], 1), "level=1.0: must be below 1")):
        with pytest.raises(InputError, match=words):
            student(*arguments)
