"""DeepFool: exact on linear models, within the clip range, the nearest class."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.deepfool import DeepFool, nearest_boundary
from robust_sparse_tf.errors import InputError

WIDE = dict(low=-1000.0, high=1000.0)
EVERY_NORM = pytest.mark.parametrize("norm", ["l2", "linf"])


@pytest.fixture(scope="module", params=["l2", "linf"])
def attacked(request, logits, batch):
    """An attack, its graph for any batch size, and what it makes of the digits."""
    attack = DeepFool(norm=request.param)
    specs = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], tf.int64)]
    graph = tf.function(
        lambda x, y: attack(logits, x, y), input_signature=specs, autograph=attack.norm == "linf"
    )
    x, y = batch[0], tf.argmax(logits(batch[0]), axis=1)
    return attack, graph, x, y, graph(x, y)


def linear(classes: int, seed: int = 0, entries: int = 20):
    """Examples, a linear model and its predictions."""
    draw = np.random.default_rng(seed)
    weights = draw.normal(size=(entries, classes)).astype(np.float32)
    bias = draw.normal(size=classes).astype(np.float32)
    x = tf.constant(draw.uniform(size=(30, entries)), tf.float32)

    def model(x):
        return x @ weights + bias

    return model, weights, x, tf.argmax(model(x), axis=1)


def exact_distances(model, weights, x, y, norm) -> np.ndarray:
    """min_k |f_k - f_y| / ||w_k - w_y||, in the dual norm."""
    order = {"linf": 1, "l2": 2, "l1": np.inf}[norm]
    scores, y = model(x).numpy().astype(np.float64), y.numpy()
    found = np.full(len(y), np.inf)
    for k in range(weights.shape[1]):
        sizes = np.linalg.norm(weights[:, [k]] - weights[:, y], order, axis=0)
        gaps = np.abs(scores[:, k] - scores[np.arange(len(y)), y])
        found = np.where(k == y, found, np.minimum(found, gaps / np.where(k == y, 1, sizes)))
    return found


@EVERY_NORM
@pytest.mark.parametrize("overshoot", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("classes", [2, 3, 12])
def test_linear_models(norm, overshoot, classes):
    """The exact distance, longer by the overshoot, after one step."""
    model, weights, x, y = linear(classes)
    attack = DeepFool(norm=norm, overshoot=overshoot, candidates=classes, steps=1, **WIDE)
    adversarial = attack(model, x, y)
    assert np.all(tf.argmax(model(adversarial), axis=1) != y)
    exact = exact_distances(model, weights, x, y, norm)
    found = norms.distance(adversarial - x, norm)
    np.testing.assert_allclose(found, (1 + overshoot) * exact, rtol=1e-3, atol=1e-4)
    assert abs(np.mean(found) / np.mean(exact) / (1 + overshoot) - 1) < 0.01


def test_candidates_are_the_likeliest_classes():
    """With two, the way is to the second likeliest class, also where another is nearer."""
    model, weights, x, y = linear(12)
    adversarial = DeepFool(candidates=2, steps=1, **WIDE)(model, x, y)
    scores = model(x).numpy()
    second = np.argsort(-scores, axis=1)[:, 1]
    every = np.arange(len(y))
    gaps = scores[every, y] - scores[every, second]
    lengths = gaps / np.linalg.norm(weights[:, second] - weights[:, y], axis=0)
    np.testing.assert_allclose(norms.distance(adversarial - x, "l2"), 1.02 * lengths, rtol=5e-3)
    nearest = exact_distances(model, weights, x, y, "l2")
    assert np.any(nearest < 0.9 * lengths)


def test_nearest_boundary_is_that_of_the_jacobian(logits, batch):
    x, y = batch[0], tf.argmax(logits(batch[0]), axis=1)
    gap, gradient, size = nearest_boundary(logits, x, y, 10, "l2")
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = logits(x)
    jacobian = tape.batch_jacobian(scores, x).numpy().reshape(16, 10, 64)
    for i, label in enumerate(y.numpy()):
        difference = np.delete(jacobian[i] - jacobian[i, label], label, axis=0)
        gaps = np.delete(scores[i, label] - scores[i], label)
        sizes = np.linalg.norm(difference, axis=1)
        k = np.argmin(gaps / sizes)
        rounding = 1e-5 * np.abs(scores[i]).max()
        np.testing.assert_allclose(gap[i], gaps[k] + rounding, rtol=1e-4)
        np.testing.assert_allclose(size[i], sizes[k], rtol=1e-4)
        np.testing.assert_allclose(tf.reshape(gradient[i], [-1]), difference[k], atol=1e-5)


def test_fools_within_the_clip_range(attacked, logits):
    attack, _, x, y, adversarial = attacked
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert np.min(adversarial) >= 0 and np.max(adversarial) <= 1
    assert np.all(attack.fools(logits(adversarial), y))
    assert np.all(norms.distance(adversarial - x, attack.norm) > 0)


def test_the_norm_asked_for_is_the_smaller(logits, batch):
    x, y = batch[0], tf.argmax(logits(batch[0]), axis=1)
    l2, linf = (DeepFool(norm=norm, candidates=5)(logits, x, y) - x for norm in ("l2", "linf"))
    for norm, small, large in [("l2", l2, linf), ("linf", linf, l2)]:
        assert np.mean(norms.distance(small, norm)) < np.mean(norms.distance(large, norm))


def test_graph_gives_what_eager_gives(attacked, logits):
    attack, _, x, y, adversarial = attacked
    np.testing.assert_allclose(attack(logits, x, y), adversarial, atol=1e-5)


@hypothesis.settings(max_examples=10)
@hypothesis.given(
    fooled=st.lists(st.booleans(), min_size=1, max_size=16),
    seed=st.integers(0, 2**31),
)
def test_examples_do_not_meet(attacked, fooled, seed):
    """In any batch each is treated as in another; those fooled at the start stay as they are."""
    attack, graph, x, y, adversarial = attacked
    chosen = np.random.default_rng(seed).integers(0, 16, len(fooled))
    x, y, alone = (tf.gather(value, chosen) for value in (x, y, adversarial))
    found = graph(x, tf.where(fooled, (y + 1) % 10, y))
    expected = norms.select(tf.constant(fooled), x, alone)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found[np.array(fooled)], x[np.array(fooled)])


@hypothesis.given(
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    steps=st.integers(1, 5),
    overshoot=st.floats(0, 3),
    norm=st.sampled_from(["l2", "linf"]),
)
@hypothesis.settings(max_examples=6)
def test_never_leaves_the_clip_range(logits, batch, bounds, steps, overshoot, norm):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = DeepFool(norm=norm, steps=steps, overshoot=overshoot, low=low, high=high)
    adversarial = attack(logits, x, y)
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    # Each is either fooled or as it was.
    same = np.all(adversarial == x, axis=(1, 2, 3))
    assert np.all(attack.fools(logits(adversarial), y) | same)


def test_what_cannot_be_fooled_stays():
    """No gradient, and a boundary outside of the clip range."""
    x, y = tf.random.stateless_uniform([4, 5], (0, 0)), tf.zeros([4], tf.int64)
    constant = tf.constant([[1.0, 0.0, 0.5]])
    np.testing.assert_array_equal(DeepFool()(lambda x: 0 * x[:, :3] + constant, x, y), x)

    def far(x):
        return tf.stack([tf.fill([len(x)], 10.0), tf.reduce_sum(x, axis=1)], axis=1)

    np.testing.assert_array_equal(DeepFool()(far, x, y), x)


def test_nothing_is_random(logits, batch):
    attack = DeepFool(steps=2, candidates=3)
    one, other = (attack(logits, *batch, seed=seed) for seed in ((1, 2), (3, 4)))
    np.testing.assert_array_equal(one, other)


@EVERY_NORM
@pytest.mark.parametrize("lead", [0.0, 1e-8, 1e-6])
def test_tiny_margins(norm, lead):
    """Ties and differences that rounding hides are crossed, too."""
    _, weights, x, _ = linear(3)
    start = x[:1].numpy()

    def model(x):
        return 5 + tf.constant([lead, 0, 0]) + (x - start) @ weights

    attack, y = DeepFool(norm=norm), tf.zeros([1], tf.int64)
    assert not attack.fools(model(start), y)
    adversarial = attack(model, start, y)
    assert attack.fools(model(adversarial), y)
    assert np.max(norms.distance(adversarial - start, norm)) < 1e-4


def test_refuses():
    for arguments, words in [
        (dict(norm="l1"), "norm=l1: must be l2 or linf for DeepFool"),
        (dict(candidates=1), "candidates=1: must be at least 2"),
        (dict(overshoot=-0.1), "overshoot=-0.1: must be at least 0"),
        (dict(steps=0), "steps=0: must be at least 1"),
        (dict(targeted=True), "DeepFool has no targeted form"),
    ]:
        with pytest.raises(InputError, match=words):
            DeepFool(**arguments)
    assert dataclasses.replace(DeepFool(), steps=3) == DeepFool(steps=3)
