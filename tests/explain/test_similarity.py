"""Comparison of explanations: overlap, rank correlation and central strength."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy import stats

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.explain import compare

RNG = np.random.default_rng(2)
MAPS = RNG.random((3, 10, 5))
maps = hnp.arrays(np.float32, (2, 6, 5), elements=st.integers(-3, 3).map(float))


def test_maps_by_hand():
    """Of ten pixels the strongest two: one is shared by both maps, of three in all."""
    a = np.array([[[9, 8, 1, 2, 3], [0, 0, 4, 5, 6.0]]])
    b = np.array([[[9, 1, 2, 3, 4], [8, 0, 5, 6, 7.0]]])
    found = compare(a, b)
    assert found.overlap == [pytest.approx(1 / 3)]
    expected = stats.spearmanr(a.ravel(), b.ravel()).statistic
    assert found.rank_correlation == [pytest.approx(expected)]
    # Of two rows a half of each, and of five columns the third, and 3/4 of its neighbours.
    assert found.central_a == [pytest.approx(0.5 * (0.75 * 8 + 1 + 0.75 * 2 + 4 + 0.75 * 5) / 38)]


def test_the_same_maps_agree():
    found = compare(MAPS, 3 * MAPS)
    np.testing.assert_array_equal(found.overlap, 1)
    np.testing.assert_allclose(found.rank_correlation, 1)
    np.testing.assert_allclose(found.central_a, found.central_b)


def test_opposite_maps_disagree():
    found = compare(MAPS, 1 - MAPS)
    np.testing.assert_array_equal(found.overlap, 0)
    np.testing.assert_allclose(found.rank_correlation, -1)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (7, 5), (1, 1), (3, 10)])
def test_a_quarter_of_uniform_strength_is_central(shape):
    uniform = np.ones((2, *shape))
    np.testing.assert_allclose(compare(uniform, uniform).central_a, 0.25)


def test_all_strength_in_the_middle():
    a = np.zeros((1, 8, 8))
    a[0, 2:6, 2:6] = 1
    np.testing.assert_allclose(compare(a, 1 - a)[2:], [[1], [0]])


def test_channels_add_up():
    channels = RNG.normal(size=(2, 6, 5, 3))
    found = compare(channels, np.abs(channels).sum(-1))
    np.testing.assert_array_equal(found.overlap, 1)
    np.testing.assert_allclose(found.rank_correlation, 1)


def test_maps_of_zeros_are_like_no_other():
    zeros = np.zeros_like(MAPS)
    assert np.isnan(compare(zeros, zeros)).all()
    found = compare(zeros, MAPS)
    np.testing.assert_array_equal(found.overlap, 0)
    assert np.isnan(found.rank_correlation).all() and np.isnan(found.central_a).all()
    assert not np.isnan(found.central_b).any()


@hypothesis.given(maps, maps)
def test_invariants(a, b):
    """In range, symmetric, and unchanged by mirroring and positive factors."""
    found, swapped = compare(a, b), compare(b, a)
    mirrored = compare(2 * a[:, ::-1], b[:, ::-1])
    for value, high in ((found.overlap, 1), (found.central_a, 1), (found.rank_correlation, 1)):
        known = value[~np.isnan(value)]
        assert np.all(known <= high + 1e-9) and np.all(known >= -1 - 1e-9)
    np.testing.assert_array_equal(found.overlap, swapped.overlap)
    np.testing.assert_array_equal(found.central_a, swapped.central_b)
    for one, other in zip(found, mirrored, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(saliency_b=MAPS[:2]), r"saliency_b of \(2, 10, 5\): must be \(3, 10, 5\)"),
        (dict(saliency_b=MAPS[:, :9]), r"saliency_b of \(3, 9, 5\)"),
        (dict(saliency_a=MAPS[0]), r"saliency_a of shape \(10, 5\): must be \[n, height, width\]"),
        (dict(saliency_a=MAPS[:0]), r"saliency_a of shape \(0, 10, 5\)"),
        (dict(saliency_a=MAPS * np.nan), "saliency_a: holds values that are not finite"),
        (dict(saliency_b="x"), "saliency_b of type str"),
        (dict(saliency_a=None), "saliency_a of type NoneType"),
    ],
)
def test_bad_input(given, words):
    with pytest.raises(InputError, match=words) as caught:
        compare(**dict(saliency_a=MAPS, saliency_b=MAPS) | given)
    assert len(str(caught.value).splitlines()) == 1
