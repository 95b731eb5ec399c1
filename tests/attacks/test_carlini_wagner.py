"""Carlini-Wagner on models whose answer is known, and its invariants."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.carlini_wagner import CarliniWagner, Search
from robust_sparse_tf.errors import InputError

FEW = CarliniWagner(binary_searches=4, steps=30, initial_constant=0.1, learning_rate=0.05)


def run(attack, model, x, labels, targets=None):
    """In a graph, in which hundreds of steps take no time."""
    return tf.function(lambda: attack(model, x, labels, targets=targets), autograph=False)().numpy()


def make_linear(classes, count=40):
    """A linear model, and inputs [count, 64] far from the ends of the clip range."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(64, classes)).astype(np.float32)
    x = (0.5 + generator.uniform(-0.2, 0.2, size=(count, 64))).astype(np.float32)
    bias = -0.5 * weights.sum(axis=0)
    return weights, x, lambda x: x @ tf.constant(weights) + tf.constant(bias)


@pytest.fixture(scope="module")
def linear():
    return make_linear(2)


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_exact_on_a_linear_model(classes):
    """Where the second class by logits is the nearest: to that one the margin's gradient leads."""
    weights, x, model = make_linear(classes, count=100)
    scores = model(x).numpy()
    labels = scores.argmax(axis=1)
    gaps = scores.max(axis=1, keepdims=True) - scores
    lengths = np.linalg.norm(weights[:, :, None] - weights[:, None], axis=0)[labels]
    distances = np.where(gaps > 0, gaps / np.maximum(lengths, 1e-6), np.inf)
    straight = distances.argmin(axis=1) == np.argsort(scores, axis=1)[:, -2]
    # A step of Adam is 0.04 long here: nearer boundaries are not found to within 1 %.
    straight &= distances.min(axis=1) > 0.1
    assert straight.sum() >= 10
    adversarial = run(CarliniWagner(steps=400), model, x, labels)
    assert np.all(np.argmax(model(adversarial), axis=1) != labels)
    ratio = np.linalg.norm(adversarial - x, axis=1) / distances.min(axis=1)
    assert np.all(ratio > 0.9999)
    assert np.all(ratio[straight] < 1.01), ratio[straight]


def test_towards_the_only_other_class_is_away(linear):
    _, x, model = linear
    labels = np.argmax(model(x), axis=1)
    away = run(FEW, model, x, labels)
    towards = run(dataclasses.replace(FEW, targeted=True), model, x, None, 1 - labels)
    assert np.any(away != x)
    np.testing.assert_allclose(towards, away, atol=1e-5)


def test_the_constant_means_the_same_for_every_clip_range(linear):
    _, x, model = linear
    labels = np.argmax(model(x), axis=1)
    low, width = -100.0, 255.0
    same = dataclasses.replace(FEW, low=low, high=low + width)
    wide = run(same, lambda x: model((x - low) / width), low + width * x, labels)
    narrow = run(FEW, model, x, labels)
    one, other = (norms.distance(d, "l2") for d in ((wide - low) / width - x, narrow - x))
    assert np.all(other > 0)
    np.testing.assert_allclose(one, other, rtol=1e-2)


def test_confidence_is_a_margin(linear):
    _, x, model = linear
    labels = np.argmax(model(x), axis=1)
    scores = model(run(CarliniWagner(confidence=0.3, steps=200), model, x, labels)).numpy()
    own = scores[np.arange(40), labels]
    scores[np.arange(40), labels] = -np.inf
    lead = scores.max(axis=1) - own
    assert np.all(lead >= 0.3) and np.all(lead < 0.33)


@hypothesis.settings(max_examples=8)
@hypothesis.given(
    rate=st.floats(0.01, 1),
    constant=st.floats(1e-3, 100),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
)
def test_keeps_to_the_clip_range(logits, batch, rate, constant, bounds):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = CarliniWagner(
        binary_searches=2,
        steps=3,
        learning_rate=rate,
        initial_constant=constant,
        low=low,
        high=high,
    )
    adversarial = attack(logits, x, y)
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    changed = np.any((adversarial != x).numpy().reshape(16, -1), axis=1)
    fooled = np.argmax(logits(adversarial), axis=1) != y
    assert np.all(fooled[changed])


def test_what_is_fooled_already_stays(logits, batch):
    x, _ = batch
    predicted = tf.argmax(logits(x), axis=1)
    labels = tf.where(tf.range(16) % 2 == 0, predicted, (predicted + 1) % 10)
    changed = np.any((run(FEW, logits, x, labels) != x.numpy()).reshape(16, -1), axis=1)
    np.testing.assert_array_equal(changed, np.arange(16) % 2 == 0)


def test_where_it_finds_nothing_it_returns_the_input(batch):
    x, y = batch
    constant = tf.one_hot(tf.zeros_like(y), 10)
    adversarial = run(FEW, lambda x: constant + 0 * x[:, 0, 0], x, tf.zeros_like(y))
    np.testing.assert_array_equal(adversarial, x)


def test_graph_gives_what_eager_gives(logits, batch):
    attack = CarliniWagner(binary_searches=2, steps=8, initial_constant=10.0, learning_rate=0.3)
    eager = attack(logits, *batch)
    signature = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], batch[1].dtype)]
    graph = tf.function(lambda x, y: attack(logits, x, y), input_signature=signature)
    np.testing.assert_allclose(graph(*batch), eager, atol=1e-5)
    assert np.any(eager != batch[0])


def test_an_example_does_not_depend_on_the_others(logits, batch):
    x, y = batch
    graph = tf.function(lambda x, y: FEW(logits, x, y), reduce_retracing=True, autograph=False)
    np.testing.assert_allclose(graph(x[:3], y[:3]), graph(x, y)[:3], atol=1e-4)


def test_patience_saves_steps_and_little_distance(linear):
    _, x, model = linear
    calls = tf.Variable(0)

    def counted(x):
        calls.assign_add(tf.shape(x)[0])
        return model(x)

    labels, found, used = np.argmax(model(x), axis=1), [], []
    for patience in (20, 0):
        calls.assign(0)
        adversarial = run(CarliniWagner(steps=100, patience=patience), counted, x, labels)
        found.append(norms.distance(adversarial - x, "l2").numpy().mean())
        used.append(int(calls))
    # Without patience all take nine searches of 100 steps, the look at the end of each, and one
    # at x itself.
    assert used[1] == 40 * (9 * 101 + 1)
    assert used[0] < 0.7 * used[1] and found[0] < 1.005 * found[1]


def test_bisection():
    search = Search.begin(1.0, 2)
    met = []
    for found in ([False, True], [True, False], [False, True]):
        met.append(search.constant.numpy())
        search = search._replace(found=tf.constant(found)).next()
    met.append(search.constant.numpy())
    np.testing.assert_array_equal(met, [[1, 1], [10, 0.5], [5.5, 0.75], [7.75, 0.625]])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(norm="linf"), "norm=linf: must be l2"),
        (dict(confidence=-1.0), "confidence=-1.0: must be at least 0"),
        (dict(steps=0), "steps=0: must be at least 1"),
        (dict(initial_constant=0.0), "initial_constant=0.0: must be above 0"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        CarliniWagner(**arguments)
