import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.sparsity.selection import keep_largest

FLOAT32 = np.finfo(np.float32)
SPECIAL = [
    0.0,
    -0.0,
    FLOAT32.smallest_subnormal,
    -FLOAT32.smallest_subnormal,
    FLOAT32.tiny,
    FLOAT32.min,
    FLOAT32.max,
    np.inf,
    -np.inf,
    1.0,
    np.nextafter(np.float32(1), np.float32(2)),
    -1.0,
]


def stable_argsort(scores: np.ndarray, count: int) -> np.ndarray:
    """The largest scores, of equal ones the first; the oracle."""
    best = np.argsort(-scores.ravel(), kind="stable")[:count]
    mask = np.zeros(scores.size, bool)
    mask[best] = True
    return mask.reshape(scores.shape)


def scores_of(shape) -> st.SearchStrategy:
    """Few values, so that most scores tie; hard ones; and now and then any."""
    return st.one_of(
        hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0])),
        hnp.arrays(np.float32, shape, elements=st.sampled_from(SPECIAL)),
        hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False)),
    )


any_scores = hnp.array_shapes(min_dims=1, max_dims=4, max_side=5).flatmap(scores_of)


@hypothesis.given(any_scores, st.data())
def test_keep_largest(scores, data):
    count = data.draw(st.integers(0, scores.size))
    mask = keep_largest(scores, count).numpy()
    assert mask.shape == scores.shape and mask.dtype == bool
    assert mask.sum() == count
    np.testing.assert_array_equal(mask, stable_argsort(scores, count))


compiled = {
    "graph": tf.function(keep_largest, reduce_retracing=True),
    "xla": tf.function(keep_largest, jit_compile=True),
}


@pytest.mark.parametrize("kind", compiled)
@hypothesis.given(scores_of((4, 6)), st.integers(0, 24))
def test_in_a_graph_with_a_count_from_the_graph(kind, scores, count):
    mask = compiled[kind](tf.constant(scores), tf.constant(count))
    np.testing.assert_array_equal(mask, stable_argsort(scores, count))


@pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize("count", [0, 1, 2**10, 2**17 - 3, 2**17])
def test_many_scores(count, run):
    """More than any digit of the search can tell apart, with ties at every value."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(2**9, 2**8)), 3).astype(np.float32)
    scores *= rng.choice(np.float32([1e-30, 1, 1e30]), scores.shape)
    mask = run(keep_largest)(scores, count)
    np.testing.assert_array_equal(mask, stable_argsort(scores, count))


def test_neighbouring_floats_are_told_apart():
    """Each bit of a score counts, the last ones and the sign too."""
    steps = np.arange(-40, 40, dtype=np.int32)
    for middle in (0x3F800000, 0x00800000, 0x3F8003FF, 0x3F8FFFFF):
        for sign in (1, -1):
            scores = sign * (middle + steps).view(np.float32)
            scores = np.random.default_rng(1).permutation(scores)
            for count in (1, 17, 40, 79):
                mask = keep_largest(scores, count).numpy()
                assert set(scores[mask]) == set(np.sort(scores)[-count:])


def test_zeros_of_both_signs_tie():
    scores = tf.constant([-0.0, 0.0, -0.0, 0.0])
    np.testing.assert_array_equal(keep_largest(scores, 2), [True, True, False, False])
