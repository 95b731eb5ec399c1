"""The ball as a value, and the steps that follow from it."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import robust_sparse_tf as rst
from robust_sparse_tf.attacks import BIM, MIM, PGD, Ball, norms
from robust_sparse_tf.errors import InputError


@given(
    norm=st.sampled_from(norms.NAMES),
    epsilon=st.floats(0, 3, width=32),
    low=st.floats(-2, 0, width=32),
    width=st.floats(0.25, 2, width=32),
    seed=st.integers(0, 1000),
)
def test_projection_stays_and_is_idempotent(norm, epsilon, low, width, seed):
    ball = Ball(norm=norm, epsilon=epsilon, low=low, high=low + width)
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.uniform(ball.low, ball.high, (3, 2, 4)), tf.float32)
    x = ball.clip(x)
    point = tf.constant(rng.normal(0, 3, (3, 2, 4)), tf.float32)
    inside = ball.project(x, point)
    assert np.all(norms.distance(inside - x, norm) <= epsilon + 1e-5)
    assert np.min(inside) >= np.float32(ball.low) and np.max(inside) <= np.float32(ball.high)
    np.testing.assert_allclose(ball.project(x, inside), inside, atol=1e-5)


@pytest.mark.parametrize("kind", [PGD, BIM, MIM])
def test_steps_follow_from_the_ball(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attack = kind(epsilon=8 / 255, steps=10)
    assert attack.step_size is None
    assert attack.step_length == 2.5 * (8 / 255) / 10
    other = attack.at(0.3)
    assert other.step_size is None and other.step_length == 2.5 * 0.3 / 10
    assert kind(epsilon=0.3, step_size=0.1).at(0.15).step_length == pytest.approx(0.05)


def test_ball_of_an_attack():
    attack = PGD(norm="l2", epsilon=0.5, low=-1.0, high=2.0)
    assert attack.ball == rst.Ball("l2", 0.5, -1.0, 2.0)
    assert attack.ball.limits == attack.limits == (-1.0, 2.0)
    assert attack.at(0.25).ball == attack.ball.at(0.25)
    assert type(Ball("linf", np.float32(0.5)).epsilon) is float


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(norm="l3"), "norm=l3: must be one of linf, l2, l1"),
        (dict(epsilon=-1.0), "epsilon=-1.0: must be at least 0"),
        (dict(epsilon=float("nan")), "epsilon=nan: must be at least 0"),
        (dict(high=0.0), "high=0.0: must be above low=0.0"),
    ],
)
def test_impossible_balls(options, message):
    with pytest.raises(InputError, match=message):
        Ball(**{"norm": "linf", "epsilon": 0.3, **options})
