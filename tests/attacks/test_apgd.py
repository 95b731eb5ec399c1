import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import APGD, Ball, apgd_l1, norms
from robust_sparse_tf.attacks.apgd_rules import Climb, Halving, checkpoints
from robust_sparse_tf.attacks.dlr import dlr
from robust_sparse_tf.attacks.loop import Best
from robust_sparse_tf.errors import InputError

EPSILON = {"linf": 0.1, "l2": 0.8, "l1": 3.0}
every_norm = pytest.mark.parametrize("norm", EPSILON)
# Each norm and each loss, not each pair.
pairs = pytest.mark.parametrize(
    "norm, loss", [("linf", "targeted_dlr"), ("l2", "dlr"), ("l1", "ce")]
)


def apgd(norm: str, **options) -> APGD:
    return APGD(norm=norm, **{"epsilon": EPSILON[norm], "steps": 10, **options})


def linear(classes: int, features: int = 12, count: int = 200):
    """Inputs in [0, 1], their predicted classes, a linear model and its weights."""
    random = np.random.default_rng(0)
    x = random.uniform(size=[count, features]).astype(np.float32)
    weights = random.normal(size=[features, classes]).astype(np.float32)
    bias = (-x.mean(axis=0) @ weights).astype(np.float32)

    def model(inputs):
        return tf.matmul(inputs, weights) + bias

    return x, np.argmax(model(x), axis=1), model, weights


def most_gained(slope: np.ndarray, x: np.ndarray, norm: str, epsilon: float) -> np.ndarray:
    """How much a linear function [batch, features] rises at most in the ball and the unit box."""
    room = np.where(slope > 0, 1 - x, x).astype(np.float64)
    if norm == "linf":
        return (np.abs(slope) * np.minimum(room, epsilon)).sum(axis=1)
    order = np.argsort(-np.abs(slope), axis=1)
    slope, room = (np.take_along_axis(values, order, axis=1) for values in (slope, room))
    left = np.maximum(epsilon - np.cumsum(room, axis=1) + room, 0)
    return (np.abs(slope) * np.minimum(room, left)).sum(axis=1)


@pytest.mark.parametrize(
    "loss, norm, epsilon",
    [
        pytest.param("ce", "l1", 0.3, marks=pytest.mark.slow),  # the pair is in the test below
        ("dlr", "linf", 0.05),
        ("targeted_dlr", "linf", 0.05),
        ("targeted_dlr", "l1", 0.3),
    ],
)
def test_linear_models_are_fooled_where_they_can_be(loss, norm, epsilon):
    """With each class as target in all places; one loss for all classes has local maxima."""
    x, y, model, weights = linear(5)
    clean = np.asarray(model(x), np.float64)
    own = np.take_along_axis(clean, y[:, None], axis=1)
    lead = np.full(len(x), np.inf)
    for k in range(5):
        slope = weights[:, k] - weights[:, y].T
        gained = most_gained(slope, x, norm, epsilon)
        lead = np.where(k == y, lead, np.minimum(lead, own[:, 0] - clean[:, k] - gained))
    draws = 2 if norm == "l1" else 1
    attack = APGD(norm=norm, epsilon=epsilon, loss=loss, steps=60, draws=draws)
    adversarial = tf.function(lambda x, y: attack(model, x, y), autograph=False)(x, y)
    fooled = np.argmax(model(adversarial), axis=1) != y
    sure = np.abs(lead) > 0.02
    assert 0.2 < np.mean(lead < 0) < 0.8 and np.mean(sure) > 0.9
    assert not np.any(fooled & sure & (lead > 0))
    assert fooled.any()
    if loss == "targeted_dlr":
        assert np.all(fooled[sure & (lead < 0)])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_two_classes_by_cross_entropy(norm):
    x, y, model, weights = linear(2)
    x = 0.4 + 0.2 * x  # far enough from the clip range for a closed form in l2
    y = np.argmax(model(x), axis=1)
    clean = np.asarray(model(x))
    slope = weights[:, 1] - weights[:, 0]
    dual = {"linf": np.abs(slope).sum(), "l2": np.sqrt((slope**2).sum()), "l1": np.abs(slope).max()}
    lead = np.abs(clean[:, 1] - clean[:, 0])
    epsilon = min(np.median(lead) / dual[norm], 0.39)
    attack = APGD(norm=norm, epsilon=float(epsilon), steps=40)
    fooled = np.argmax(model(attack(model, x, y)), axis=1) != y
    sure = np.abs(lead - epsilon * dual[norm]) > 0.01 * lead
    assert 0.2 < np.mean(fooled) < 0.8 and np.mean(sure) > 0.9
    np.testing.assert_array_equal(fooled[sure], (lead < epsilon * dual[norm])[sure])


@hypothesis.settings(max_examples=8)
@hypothesis.given(
    norm=st.sampled_from(list(EPSILON)),
    share=st.floats(0, 3),
    loss=st.sampled_from(["ce", "dlr", "targeted_dlr"]),
    steps=st.integers(1, 6),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_keeps_to_its_threat_model(logits, batch, norm, share, loss, steps, bounds, seed):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    y = tf.where(tf.range(16) % 2 == 0, y, (y + 1) % 10)  # fooled and unfooled ones
    epsilon = share * EPSILON[norm] * (high - low)
    attack = apgd(
        norm, epsilon=epsilon, loss=loss, steps=steps, target_classes=2, low=low, high=high
    )
    adversarial = attack(logits, x, y, seed=(seed, 0))
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    entries = 64 if norm == "l1" else 1
    rounding = 1e-6 * max(1, high) * entries + 1e-6 * epsilon
    assert np.max(norms.distance(adversarial - x, norm)) <= epsilon + rounding
    fooled = np.asarray(tf.argmax(logits(x), axis=1) != y)
    assert fooled.any() and not fooled.all()
    np.testing.assert_array_equal(adversarial[fooled], x[fooled])


@pairs
def test_unfooled_examples_have_their_largest_loss(norm, loss, logits, batch):
    x, y = batch
    attack = apgd(norm, epsilon=0.2 * EPSILON[norm], loss=loss)
    adversarial = attack(logits, x, y)
    fooled = np.asarray(tf.argmax(logits(adversarial), axis=1) != y)
    assert not fooled.all()

    def cross_entropy(x):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits(x))

    risen = np.asarray(cross_entropy(adversarial) > cross_entropy(x))
    assert np.all(risen | (np.argmax(logits(x), axis=1) != y))


@pairs
def test_epsilon_0_changes_nothing(norm, loss, logits, batch):
    attack = apgd(norm, epsilon=0.0, loss=loss, steps=3, target_classes=2)
    np.testing.assert_array_equal(attack(logits, *batch), batch[0])


@every_norm
def test_large_epsilon_fools_all(norm, logits, batch):
    x, y = batch
    adversarial = apgd(norm, epsilon=10 * EPSILON[norm], steps=20)(logits, x, y)
    assert np.all(np.argmax(logits(adversarial), axis=1) != y)


@pairs
def test_graph_of_unknown_batch_size_gives_what_eager_gives(norm, loss, logits, batch):
    x, y = batch
    attack = apgd(norm, epsilon=0.3 * EPSILON[norm], loss=loss, steps=4, target_classes=2)
    # One restarts; one is rewritten by AutoGraph, as the graphs of users are.
    attack = dataclasses.replace(attack, restarts=2 if norm == "l2" else 1)
    graph = tf.function(
        lambda x, y: attack(logits, x, y, seed=(3, 4)),
        input_signature=[tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], y.dtype)],
        autograph=norm == "linf",
    )
    # Graphs are rewritten before they run, so that numbers are rounded elsewhere.
    np.testing.assert_allclose(graph(x, y), attack(logits, x, y, seed=(3, 4)), rtol=0, atol=1e-6)
    assert graph(x[:0], y[:0]).shape == [0, 8, 8, 1]


@every_norm
def test_seed(norm, logits, batch):
    x, y = batch
    attack = apgd(norm, epsilon=0.3 * EPSILON[norm], steps=3)
    same, again, other = (attack(logits, x, y, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(same, again)
    assert np.any(same != other)


@pytest.mark.parametrize("norm, loss", [("linf", "ce"), ("l2", "targeted_dlr")])
def test_restarts_contain_the_first_attempt(norm, loss, logits, batch):
    x, y = batch
    once = apgd(norm, epsilon=0.5 * EPSILON[norm], loss=loss, steps=3, target_classes=2)
    more = dataclasses.replace(once, restarts=3)
    one, three = (np.argmax(logits(a(logits, x, y)), axis=1) != y for a in (once, more))
    assert np.all(three | ~one)


@pytest.mark.parametrize("norm, loss", [("linf", "ce"), ("l2", "dlr"), ("l1", "ce")])
def test_targets_are_reached(norm, loss, logits, batch):
    x, y = batch
    targets = (tf.argmax(logits(x), axis=1) + 1) % 10
    attack = apgd(norm, epsilon=4 * EPSILON[norm], loss=loss, steps=30, targeted=True)
    run = tf.function(attack, autograph=False) if norm == "l2" else attack
    adversarial = run(logits, x, None, targets=targets)
    assert np.mean(np.argmax(logits(adversarial), axis=1) == targets) > 0.8


def test_predicted_labels_do_not_look_at_y(logits, batch):
    attack = apgd("linf", steps=3, attack_labels="predicted")
    predicted = tf.argmax(logits(batch[0]), axis=1)
    np.testing.assert_array_equal(
        attack(logits, batch[0], None), apgd("linf", steps=3)(logits, batch[0], predicted)
    )


@every_norm
def test_gradients_that_are_not_numbers_are_not_followed(norm):
    x, y, model, _ = linear(4, count=16)

    def broken(inputs):
        return model(inputs) + tf.reduce_sum(tf.sqrt(tf.nn.relu(-1 - inputs)), axis=1)[:, None]

    adversarial = apgd(norm, steps=2, epsilon=0.01)(broken, x, y)
    assert np.all(np.isfinite(adversarial))


def test_is_a_loop_in_the_graph(logits, batch):
    def operations(steps, targets):
        attack = apgd("l1", steps=steps, loss="targeted_dlr", target_classes=targets)
        traced = tf.function(
            lambda x, y: attack(logits, x, y), autograph=False
        ).get_concrete_function(*batch)
        return len(traced.graph.as_graph_def().library.function), len(traced.graph.get_operations())

    assert operations(40, 9) == operations(3, 2)


def test_refuses():
    x, y, model, _ = linear(2, count=4)
    with pytest.raises(InputError, match="loss=dlr: needs at least 3 classes, the model has 2"):
        apgd("linf", loss="dlr")(model, x, y)
    with pytest.raises(InputError, match="loss=targeted_dlr: needs at least 4 classes"):
        apgd("linf", loss="targeted_dlr")(model, x, y)
    with pytest.raises(InputError, match="loss=hinge: must be one of ce, dlr, targeted_dlr"):
        APGD(loss="hinge")
    with pytest.raises(InputError, match="targeted=True: targeted_dlr chooses its targets"):
        APGD(loss="targeted_dlr", targeted=True)


def test_dlr_of_three_classes():
    """The fewest of which it is defined."""
    x, y, model, _ = linear(3, count=16)
    adversarial = apgd("linf", loss="dlr", steps=3)(model, x, y)
    assert np.mean(dlr(model(adversarial), y)) > np.mean(dlr(model(x), y))


def test_checkpoints():
    """The fractions 0, .22, .41, .57, .70, .80, .87, .93, .99 of the paper."""
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1000) == [0, 220, 410, 570, 700, 800, 870, 930, 990]
    assert checkpoints(5) == [0, 2, 3, 4, 5]
    assert checkpoints(1) == [0, 1]


def sizes(worths: list[float]) -> tuple[list[float], list[int]]:
    """Step sizes at the checkpoints of 100 steps, and where it went back to the best iterate."""
    rule, x = Halving(APGD(epsilon=0.5), 100), tf.zeros([1, 2])
    pace, best, found, back = rule.begin(x), Best(x, tf.constant([-1e9])), [], []
    for number, worth in enumerate(worths):
        best = Best(x, tf.maximum(best.score, worth))
        climb = Climb(tf.constant(number), x, x, x, tf.constant([worth]), best)
        pace, again = rule.adapt(pace, climb)
        if rule.since[number]:
            found.append(float(pace.size[0]))
        if again[0]:
            back.append(number)
    return found, back


def test_step_sizes():
    rising = [float(number) for number in range(101)]
    assert sizes(rising) == ([1.0] * 8, [])
    flat, back = sizes([0.0] * 101)
    assert flat == [0.5**n for n in range(1, 9)] and back == checkpoints(100)[1:]
    # Rises in 17 of 22 steps, which is enough, and in 16, which is not: below .75 * 22 = 16.5.
    for rises, size in ((17, 1.0), (16, 0.5)):
        worths = [0.0] * (23 - rises) + [float(n) for n in range(1, rises + 1)]
        assert sizes(worths)[0] == [size]
    # Condition 2: rising, but below the best from the start; not twice in a row.
    below = [1000.0] + [float(n) for n in range(100)]
    found, back = sizes(below)
    assert found == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625]
    assert back == [22, 57, 80, 93]


@hypothesis.given(
    epsilon=st.floats(0.01, 20),
    step=st.floats(0.01, 30),
    low=st.sampled_from([0.0, -0.5]),
    seed=st.integers(0, 2**31),
)
def test_l1_projection_is_the_nearest_point(epsilon, step, low, seed):
    """No point of the set lies further along what the projection took away."""
    random = np.random.default_rng(seed)
    x = random.uniform(0, 1, [8, 30]) * random.integers(0, 2, [8, 30])
    away = x + step * random.laplace(size=[8, 30]) / 10
    shifted = (np.float32(low + values) for values in (x, away))
    projected = apgd_l1.project(*map(tf.constant, shifted), Ball("l1", epsilon, low, low + 1)) - low
    projected = np.asarray(projected, np.float64)
    assert projected.min() >= -1e-7 and projected.max() <= 1 + 1e-7
    assert np.abs(projected - x).sum(axis=1).max() <= epsilon * (1 + 1e-5) + 1e-5
    taken = away - projected
    gained = (taken * (projected - x)).sum(axis=1)
    scale = 1 + np.abs(taken).max(axis=1) * (1 + epsilon)
    np.testing.assert_array_less(most_gained(taken, x, "l1", epsilon) - gained, 1e-5 * scale)


def test_l1_projection_leaves_points_of_the_set():
    x = np.float32([[0.2, 0.9, 0.0]])
    inside = np.float32([[0.3, 0.7, 0.1]])
    np.testing.assert_allclose(apgd_l1.project(x, inside, Ball("l1", 0.5)), inside, atol=1e-7)
    np.testing.assert_array_equal(apgd_l1.project(x, inside, Ball("l1", 0.0)), x)


def test_l1_steps_grow_sparser():
    """Entries follow the best iterate's change; size and iterate are reset where they fall."""
    rule = apgd_l1.Sparse(APGD(norm="l1", epsilon=2.0), 100)
    x, worth = tf.zeros([2, 100]), tf.zeros([2])
    pace = rule.begin(x)
    np.testing.assert_array_equal(pace.entries, [20, 20])
    change = np.zeros([2, 100], np.float32)
    change[0, :15], change[1, :60] = 1, 1

    def adapt(number, pace):
        best = Best(tf.constant(change), worth)
        return rule.adapt(pace, Climb(tf.constant(number), x, x, x, worth, best))

    same, again = adapt(3, pace)
    assert not np.any(again) and np.all(same.entries == pace.entries)
    new, again = adapt(4, pace)
    np.testing.assert_array_equal(new.entries, [10, 40])
    np.testing.assert_array_equal(again, [True, False])
    np.testing.assert_allclose(new.size, [2, 2 / 1.5])
    for _ in range(10):
        new, _ = adapt(8, new)
    np.testing.assert_allclose(new.size, [0.2, 0.2])


def test_l1_steps_change_the_largest_entries():
    rule = apgd_l1.Sparse(APGD(norm="l1", epsilon=1.0), 100)
    x = tf.fill([2, 5], 0.5)
    gradient = tf.constant([[1.0, -3, 2, 0, 0.5], [0.0, 0, 0, 0, 0]])
    pace = apgd_l1.Pace(tf.constant([0.4, 0.4]), tf.constant([2.0, 2.0]))
    worth = tf.zeros([2])
    climb = Climb(tf.constant(0), x, x, x, worth, Best(x, worth))
    moved = rule.move(pace, climb, gradient)
    np.testing.assert_allclose(moved, [[0.5, 0.3, 0.7, 0.5, 0.5], [0.5] * 5], atol=1e-7)
