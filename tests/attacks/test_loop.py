import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.loop import Best, while_standing

GRAPH = pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])


def counting(lives: list[int], steps: int, skip: bool, seen: list | None = None):
    """Each example counts up to its life and is done there."""

    def step(number: tf.Tensor, state: dict) -> tuple[dict, tf.Tensor]:
        if seen is not None:
            seen.append(int(tf.size(state["life"])))
        count = state["count"] + 1
        where = state["image"] + tf.cast(number + 1, tf.float32)
        return {"life": state["life"], "count": count, "image": where}, count >= state["life"]

    state = {
        "life": tf.constant(lives),
        "count": tf.zeros([len(lives)], tf.int32),
        "image": tf.zeros([len(lives), 2, 1]),
    }
    return while_standing(step, state, steps, skip=skip)


@hypothesis.given(
    lives=st.lists(st.integers(1, 9), min_size=1, max_size=8), steps=st.integers(0, 6)
)
def test_each_example_ends_where_it_was_done(lives, steps):
    ended = counting(lives, steps, skip=True)
    expected = np.minimum(lives, steps)
    np.testing.assert_array_equal(ended["life"], lives)
    np.testing.assert_array_equal(ended["count"], expected)
    np.testing.assert_array_equal(ended["image"][:, 1, 0], expected * (expected + 1) / 2)


@GRAPH
@pytest.mark.parametrize("skip", [True, False])
def test_graph_and_eager(run, skip):
    ended = run(lambda: counting([2, 9, 1], 4, skip))()
    np.testing.assert_array_equal(ended["count"], [2, 4, 1] if skip else [4, 4, 4])
    assert ended["image"].shape == (3, 2, 1)


def test_done_examples_cost_nothing():
    seen: list[int] = []
    counting([1, 3, 3, 5], 9, skip=True, seen=seen)
    assert seen == [4, 3, 3, 1, 1]


def test_batches_of_any_size():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def run(lives: tf.Tensor) -> tf.Tensor:
        def step(_: tf.Tensor, state: tuple) -> tuple[tuple, tf.Tensor]:
            lives, count = state
            return (lives, count + 1), count + 1 >= lives

        return while_standing(step, (lives, tf.zeros_like(lives)), 5)[1]

    np.testing.assert_array_equal(run(tf.constant([3, 7])), [3, 5])
    np.testing.assert_array_equal(run(tf.constant([1, 2, 9])), [1, 2, 5])


def test_best_is_what_fools_or_has_the_largest_loss():
    best = Best.start(tf.zeros([3, 2]))
    best = best.update(tf.fill([3, 2], 1.0), tf.constant([1.0, 1.0, -1e30]), tf.fill([3], False))
    best = best.update(tf.fill([3, 2], 2.0), tf.constant([0.0, 2.0, 0.0]), tf.fill([3], False))
    np.testing.assert_array_equal(best.x[:, 0], [1, 2, 2])
    best = best.update(tf.fill([3, 2], 3.0), tf.zeros([3]), tf.constant([True, False, False]))
    np.testing.assert_array_equal(best.x[:, 0], [3, 2, 2])
    np.testing.assert_array_equal(best.score, [0, 2, 0])


def test_best_is_the_nearest_that_fools():
    best = Best.clean(tf.zeros([3, 2]), tf.constant([True, False, False]))
    for value, distance, fooled in ((1.0, 0.5, [True, True, False]), (2.0, 0.7, [True] * 3)):
        best = best.nearer(tf.fill([3, 2], value), tf.fill([3], distance), tf.constant(fooled))
    np.testing.assert_array_equal(best.x[:, 0], [0, 1, 2])
    np.testing.assert_allclose(best.score, [0, 0.5, 0.7])


@pytest.mark.parametrize(("steps", "traced"), [(0, 0), (3, 3), (5, 5), (12, 5 + 2)])
def test_no_step_is_traced_in_vain(steps, traced):
    """Each of a few steps once; of many, those of the loop's body once."""
    seen = []

    def step(number: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen.append(number)
        return x + 1, x > 0

    run = tf.function(lambda x: while_standing(step, x, steps, skip=False), autograph=False)
    np.testing.assert_array_equal(run(tf.zeros([2])), [steps, steps])
    assert len(seen) == traced
