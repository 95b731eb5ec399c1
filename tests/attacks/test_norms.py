import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms

every_norm = pytest.mark.parametrize("norm", norms.NAMES)


def length(value: np.ndarray, norm: str) -> np.ndarray:
    return np.linalg.norm(np.reshape(value, [len(value), -1]), norms.ORDERS[norm], axis=1)


@every_norm
def test_distance(norm):
    value = np.float32(np.random.default_rng(0).normal(size=(5, 3, 4, 2)))
    np.testing.assert_allclose(norms.distance(value, norm), length(value, norm), rtol=1e-6)


@every_norm
@hypothesis.given(
    epsilon=st.floats(0, 20, width=32),
    scale=st.floats(0.125, 10, width=32),
    seed=st.integers(0, 999),
)
def test_projection_is_into_the_ball_and_leaves_what_is_inside(norm, epsilon, scale, seed):
    value = np.float32(scale * np.random.default_rng(seed).normal(size=(4, 3, 5)))
    found = norms.project(tf.constant(value), norm, epsilon).numpy()
    assert found.shape == value.shape
    assert np.all(length(found, norm) <= epsilon * (1 + 1e-5) + 1e-6)
    inside = length(value, norm) <= epsilon * (1 - 1e-6)
    np.testing.assert_allclose(found[inside], value[inside], rtol=1e-6)


@hypothesis.given(epsilon=st.floats(0.0625, 5, width=32), seed=st.integers(0, 999))
def test_l1_projection_is_the_nearest_point(epsilon, seed):
    """No point of the ball is nearer: the optimality condition at the ball's corners."""
    value = np.random.default_rng(seed).normal(size=(3, 12))
    found = norms.project(tf.constant(value), "l1", epsilon).numpy()
    corners = epsilon * np.concatenate([np.eye(12), -np.eye(12)])
    gap = value - found
    slack = gap @ corners.T - np.sum(gap * found, axis=1, keepdims=True)
    assert np.all(slack <= 1e-6)


@every_norm
def test_steepest_steps(norm):
    """Of the given size, and along them a linear function rises by the dual norm."""
    gradient = np.float32(np.random.default_rng(0).normal(size=(6, 4, 3)))
    step = norms.steepest(tf.constant(gradient), norm, 0.5).numpy()
    np.testing.assert_allclose(length(step, norm), 0.5, rtol=1e-5)
    dual = {"linf": "l1", "l2": "l2", "l1": "linf"}[norm]
    rise = np.sum(step * gradient, axis=(1, 2))
    np.testing.assert_allclose(rise, 0.5 * length(gradient, dual), rtol=1e-5)


@every_norm
def test_uniform_points(norm):
    """In the ball, as far out as the volume says, in no direction more than in another."""
    size, entries = 4000, 6
    points = norms.uniform(tf.constant([size, 2, 3]), norm, 0.7, (1, 2)).numpy()
    radii = length(points, norm) / 0.7
    assert radii.max() <= 1 + 1e-6
    # The radius to the power of the dimension is uniform in [0, 1].
    shares = np.sort(radii**entries)
    assert np.abs(shares - np.arange(size) / size).max() < 1.95 / size**0.5
    flat = points.reshape(size, entries)
    assert np.abs(flat.mean(0) / flat.std(0)).max() < 4.5 / size**0.5
    correlations = np.corrcoef(np.sign(flat).T) - np.eye(entries)
    assert np.abs(correlations).max() < 4.5 / size**0.5
    again, other = (
        norms.uniform(tf.constant([size, 2, 3]), norm, 0.7, s) for s in [(1, 2), (1, 3)]
    )
    np.testing.assert_array_equal(points, again)
    assert np.mean(points == other) < 0.01


def test_select_and_spread():
    one, other = tf.ones([3, 2, 2]), tf.zeros([3, 2, 2])
    found = norms.select(tf.constant([True, False, True]), one, other)
    np.testing.assert_array_equal(found[:, 0, 0], [1, 0, 1])
    assert norms.spread(tf.constant([1.0, 2.0, 3.0]), one).shape == (3, 1, 1)


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1e-7, 1.0, 1e20])
def test_steps_in_l2_have_their_size_however_small_the_gradient(scale):
    gradient = tf.constant([[3.0, -4.0], [0.0, 1.0]]) * scale
    found = norms.steepest(gradient, "l2", 0.5)
    np.testing.assert_allclose(found, [[0.3, -0.4], [0.0, 0.5]], rtol=1e-6)


def test_no_gradient_is_no_step():
    np.testing.assert_array_equal(norms.steepest(tf.zeros([2, 3]), "l2", 0.5), np.zeros([2, 3]))
