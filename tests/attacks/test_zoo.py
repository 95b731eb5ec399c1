"""ZOO: near the exact distance on a linear model, and its invariants."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.zoo import ZOO
from robust_sparse_tf.errors import InputError

pytestmark = pytest.mark.slow  # thousands of queries each

FEW = ZOO(queries=600, coordinates=16, binary_searches=2, initial_constant=1.0, learning_rate=0.1)


@pytest.fixture(scope="module")
def logits(trained):
    return tf.function(lambda x: trained.network(x, training=False), reduce_retracing=True)


def test_near_the_exact_distance_on_a_linear_model():
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(12, 2)).astype(np.float32)
    x = (0.5 + generator.uniform(-0.1, 0.1, size=(10, 12))).astype(np.float32)
    model = lambda x: (x - 0.5) @ tf.constant(weights)  # noqa: E731
    scores = model(x).numpy()
    attack = ZOO(queries=20_000, coordinates=12, learning_rate=0.01, binary_searches=6)
    found = tf.function(lambda: attack(model, x, scores.argmax(axis=1)))()
    exact = np.abs(scores[:, 0] - scores[:, 1]) / np.linalg.norm(weights[:, 0] - weights[:, 1])
    distance = norms.distance(found - x, "l2").numpy()
    assert np.all(distance > 0.999 * exact)
    assert distance.mean() < 1.05 * exact.mean()


def test_queries_are_not_exceeded(batch):
    calls = tf.Variable(0)

    def model(x):
        calls.assign_add(tf.shape(x)[0])
        return tf.one_hot(tf.zeros(tf.shape(x)[0], tf.int32), 10)

    for queries in (100, 257, 1000):
        calls.assign(0)
        attack = ZOO(queries=queries, coordinates=8, binary_searches=3)
        found = tf.function(lambda x, a=attack: a(model, x, tf.zeros([16], tf.int32)))(batch[0])
        # What is never fooled is returned as it is, at the most queries there are.
        np.testing.assert_array_equal(found, batch[0])
        assert 16 * (queries - 3 * 17 - 3) < int(calls) <= 16 * queries


@hypothesis.settings(max_examples=6)
@hypothesis.given(
    rate=st.floats(0.01, 1),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_keeps_to_the_clip_range(logits, batch, rate, bounds, seed):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = ZOO(
        queries=50,
        coordinates=4,
        binary_searches=2,
        learning_rate=rate,
        low=low,
        high=high,
    )
    adversarial = tf.function(lambda: attack(logits, x, y, seed=(seed, 0)))()
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    changed = np.any((adversarial != x).numpy().reshape(16, -1), axis=1)
    assert np.all((np.argmax(logits(adversarial), axis=1) != y)[changed])


def test_graph_seed_and_unknown_batch(logits, batch):
    signature = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], batch[1].dtype)]
    graph = tf.function(lambda x, y: FEW(logits, x, y, seed=(1, 2)), input_signature=signature)
    same = FEW(logits, *batch, seed=(1, 2))
    assert np.any(same != batch[0])
    # Rounding turns the sign of slopes near 0, and Adam's first steps are as long for them: the
    # distances agree, the entries need not.
    one, other = (norms.distance(found - batch[0], "l2") for found in (graph(*batch), same))
    np.testing.assert_allclose(one, other, rtol=1e-2)
    np.testing.assert_array_equal(graph(*batch), graph(*batch))
    assert np.any(FEW(logits, *batch, seed=(1, 3)) != same)


def test_what_is_fooled_already_stays(logits, batch):
    x, _ = batch
    predicted = tf.argmax(logits(x), axis=1)
    found = tf.function(lambda labels: FEW(logits, x, labels))((predicted + 1) % 10)
    np.testing.assert_array_equal(found, x)


def test_refuses(logits, batch):
    with pytest.raises(InputError, match="difference=0.0: must be above 0"):
        ZOO(difference=0.0)
    with pytest.raises(InputError, match="queries=50: must be at least 521 here"):
        ZOO(queries=50)(logits, *batch)
