"""Square: its schedule, its squares, and its invariants."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.losses import margin
from robust_sparse_tf.attacks.square import Square, _bump
from robust_sparse_tf.errors import InputError

NORMS = pytest.mark.parametrize("norm, epsilon", [("linf", 0.2), ("l2", 1.0)])


def test_bump_by_the_formula():
    """Equation 2, summed term by term for a square of side 5."""
    n = 2
    expected = [
        [
            sum(1 / (n + 1 - k) ** 2 for k in range(n - max(abs(r - n), abs(s - n)) + 1))
            for s in range(5)
        ]
        for r in range(5)
    ]
    found = _bump(tf.range(5)[:, None], tf.range(5)[None], 5, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_schedule():
    """Of 32 x 32 entries: p starts at 0.8 and has been halved eight times at the end."""
    attack = Square(queries=10_000)
    for done, halvings in [(1, 0), (10, 0), (11, 1), (51, 2), (999, 3), (1001, 4), (9999, 8)]:
        side = int(attack._side(tf.constant(done - 1), [32, 32, 3]))
        assert side == max(round(np.sqrt(0.8 / 2**halvings * 1024)), 1)
    assert int(Square(queries=1000)._side(tf.constant(1), [32, 32, 3])) == 20
    assert int(Square(norm="l2")._side(tf.constant(0), [32, 32, 3])) == 29
    assert int(Square(norm="l2")._side(tf.constant(4999), [32, 32, 3])) == 3


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.1), ("l2", 0.3)])
def test_a_proposal_changes_squares_only(norm, epsilon):
    attack = Square(norm=norm, epsilon=epsilon)
    x = 0.5 * tf.ones([30, 12, 12, 3])
    now = x + attack._first(tf.constant(30), [12, 12, 3], (0, 1))
    np.testing.assert_allclose(norms.distance(now - x, norm), epsilon, rtol=1e-5)
    numbers = tf.random.stateless_uniform([30, 8], (0, 2))
    new = attack._propose(x, now, numbers, tf.constant(3))
    distance = norms.distance(new - x, norm).numpy()
    # In l2 a window may cancel what it is added to, and then its share of the radius is unused.
    assert np.all(distance <= epsilon * 1.00001) and np.mean(distance > 0.9999 * epsilon) >= 0.9
    changed = np.any(np.abs(new - now) > 1e-6, axis=(3)).sum(axis=(1, 2))
    assert np.all(changed <= (9 if norm == "linf" else 18)) and changed.mean() > 6


@hypothesis.settings(max_examples=12)
@hypothesis.given(
    epsilon=st.floats(0, 3, width=32),
    norm=st.sampled_from(["linf", "l2"]),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_keeps_to_its_threat_model(logits, batch, epsilon, norm, bounds, seed):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = Square(epsilon=epsilon, norm=norm, queries=5, low=low, high=high)
    adversarial = attack(logits, x, y, seed=(seed, 0))
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    distance = np.max(norms.distance(adversarial - x, norm))
    assert distance <= epsilon * (1 + 1e-5) + 8e-5 * (high > 1) + 1e-6


@NORMS
def test_epsilon_0_changes_nothing(norm, epsilon, logits, batch):
    attack = Square(epsilon=0.0, norm=norm, queries=5)
    np.testing.assert_array_equal(attack(logits, *batch), batch[0])


@NORMS
def test_more_queries_never_raise_the_margin(norm, epsilon, logits, batch):
    """As the schedule is scaled to the queries, against the start, not a shorter search."""
    x, y = batch
    margins = []
    for queries in (1, 100):
        attack = Square(epsilon=epsilon, norm=norm, queries=queries)
        found = tf.function(lambda x, y, a=attack: a(logits, x, y, seed=(3, 4)), autograph=False)(
            x, y
        )
        margins.append(margin(logits(found), y).numpy())
    # The start that fools already is left as it is.
    assert np.all(margins[1] <= margins[0] + 1e-5)
    assert np.mean(margins[1]) < np.mean(margins[0])


@NORMS
def test_graph_seed_and_unknown_batch(norm, epsilon, logits, batch):
    attack = Square(epsilon=epsilon, norm=norm, queries=6, restarts=2)
    signature = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], batch[1].dtype)]
    graph = tf.function(
        lambda x, y: attack(logits, x, y, seed=(1, 2)),
        input_signature=signature,
        autograph=norm == "linf",
    )
    same = attack(logits, *batch, seed=(1, 2))
    # In l2 the unused radius is the root of a difference of near equals: 1e-7 becomes 3e-4.
    np.testing.assert_allclose(graph(*batch), same, atol=1e-3 if norm == "l2" else 1e-6)
    assert np.any(attack(logits, *batch, seed=(1, 3)) != same)


@NORMS
def test_what_is_fooled_already_stays(norm, epsilon, logits, batch):
    x, _ = batch
    predicted = tf.argmax(logits(x), axis=1)
    labels = tf.where(tf.range(16) % 2 == 0, predicted, (predicted + 1) % 10)
    adversarial = Square(epsilon=epsilon, norm=norm, queries=10)(logits, x, labels)
    changed = np.any((adversarial != x).numpy().reshape(16, -1), axis=1)
    np.testing.assert_array_equal(changed, np.arange(16) % 2 == 0)


@pytest.mark.parametrize(
    "norm, epsilon, shape",
    [("l2", 1.0, shape) for shape in [(7,), (9, 4, 2), (1, 1, 1), (2, 3)]]
    + [("linf", 0.2, (7,)), ("linf", 0.2, (1, 1, 1))]
    + [pytest.param("linf", 0.2, shape, marks=pytest.mark.slow) for shape in [(9, 4, 2), (2, 3)]],
)
def test_inputs_of_any_shape(norm, epsilon, shape):
    x = tf.random.stateless_uniform([5, *shape], (0, 0))

    def model(x):
        total = tf.reduce_sum(x, range(1, x.shape.rank))
        return tf.stack([10 + total, tf.zeros_like(total)], axis=1)

    attack = Square(epsilon=epsilon, norm=norm, queries=30)
    found = tf.function(lambda: attack(model, x, tf.zeros([5], tf.int32)), autograph=False)()
    assert np.all(np.isfinite(found)) and found.shape == x.shape
    assert np.all(norms.distance(found - x, norm) <= epsilon * 1.00001)
    assert np.mean(model(found)[:, 0]) < np.mean(model(x)[:, 0])


def test_reaches_the_worst_corner_of_a_linear_model():
    """In linf that is all of the ball's lower side, to which the squares shrink in the end."""
    model = lambda x: tf.stack([100 + tf.reduce_sum(x, [1, 2, 3]), 0 * x[:, 0, 0, 0]], axis=1)  # noqa: E731
    x = 0.5 * tf.ones([4, 6, 6, 1])
    attack = Square(epsilon=0.1, queries=1500)
    found = tf.function(lambda: attack(model, x, tf.zeros([4], tf.int32)), autograph=False)()
    np.testing.assert_allclose(found, x - 0.1, atol=1e-6)


def test_refuses():
    with pytest.raises(InputError, match="p_init=1.5: must be above 0 and at most 1"):
        Square(p_init=1.5)
    with pytest.raises(InputError, match="norm=l1: must be linf or l2"):
        Square(norm="l1")
