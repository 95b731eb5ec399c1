import bounded_networks
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from linear_problem import distances, jacobian, model, split
from scipy import stats

from robust_sparse_tf.attacks import Ball, norms
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import clever_score as module
from robust_sparse_tf.evaluation.clever_score import clever, endpoint
from robust_sparse_tf.evaluation.lipschitz import local_lipschitz, safe_distance

pytestmark = pytest.mark.slow  # many networks, norms and radii

DUAL = {"linf": 1, "l2": 2, "l1": np.inf}
RADIUS = {"linf": 0.25, "l2": 2.0, "l1": 12.0}
FEW = dict(batches=20, samples=30)
every_norm = pytest.mark.parametrize("norm", norms.NAMES)


@every_norm
@pytest.mark.parametrize("scaled", [False, True])
def test_linear_models_are_exact(norm, scaled):
    network = model(5, scaled=scaled)
    x = split(network, 5).images[::10]
    exact = distances(network, x, DUAL[norm])
    found = clever(network, x, Ball(norm, 100.0), **FEW)
    assert found.shape == exact.shape and found.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=1e-3)  # the requirement is 1 %
    middle = float(np.median(exact))
    np.testing.assert_allclose(
        clever(network, x, Ball(norm, middle), **FEW), np.minimum(exact, middle), rtol=1e-3
    )


@every_norm
def test_targets_of_linear_models(norm):
    network = model(5)
    x = split(network, 5).images[::10]
    logits, slopes = network(x).numpy(), jacobian(network).numpy()
    c = logits.argmax(axis=1)
    targets = (c + 1 + np.arange(len(c)) % 4) % 5
    rows = np.arange(len(c))
    exact = logits[rows, c] - logits[rows, targets]
    exact = exact / np.linalg.norm(slopes[c] - slopes[targets], DUAL[norm], axis=1)
    found = clever(network, x, Ball(norm, 100.0), targets=targets, **FEW)
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_untargeted_is_the_least_of_all_targets():
    network, x = bounded_networks.make("mlp"), bounded_networks.inputs(4)
    predicted = np.argmax(network(x), axis=1)
    options = dict(ball=Ball("l2", 5.0), seed=3, **FEW)
    each = [clever(network, x, targets=(predicted + k) % 4, **options) for k in range(1, 4)]
    assert np.all(np.min(each, axis=0) < 5.0) and len(set(np.argmin(each, axis=0))) > 1
    np.testing.assert_allclose(clever(network, x, **options), np.min(each, axis=0), rtol=1e-5)


@every_norm
def test_scores_lie_above_what_is_safe(norm, trained, batch):
    """The estimate of the slope is no larger than the bound of lemma 3.1, or not by much."""
    x, radius = batch[0][:8], RADIUS[norm]
    found = clever(trained, x, Ball(norm, radius), **FEW)
    safe = safe_distance(trained, x, Ball(norm, radius))
    assert np.all(found >= safe * 0.999) and np.all(found <= radius * (1 + 1e-6))
    assert np.mean(found < radius) > 0.5


@every_norm
def test_maxima_are_of_gradients_in_the_ball(norm, trained, batch):
    """Each is at most the bound of lemma 3.1, and at least what a random point often has."""
    x, radius = batch[0][:4], RADIUS[norm]
    logits = trained.network(x)
    predicted = tf.argmax(logits, axis=1).numpy()
    rivals = np.stack([(predicted + 1) % 10, (predicted + 2) % 10], axis=1)
    sampler = module._Sampler(lambda x: trained.network(x), Ball(norm, radius), 15, 30, 0)
    maxima = sampler(x, predicted, rivals, 0).numpy()
    assert maxima.shape == (15, 4, 2)
    bound = np.take_along_axis(local_lipschitz(trained, x, Ball(norm, radius)).numpy(), rivals, 1)
    assert np.all(maxima <= bound * (1 + 1e-5))

    points = tf.repeat(x, 200, axis=0)
    points = tf.clip_by_value(points + norms.uniform(points.shape, norm, radius, (9, 9)), 0, 1)
    with tf.GradientTape() as tape:
        tape.watch(points)
        found = trained.network(points)
        gap = tf.gather(found, np.repeat(predicted, 200), batch_dims=1)
        gap -= tf.gather(found, np.repeat(rivals[:, 0], 200), batch_dims=1)
    slopes = tape.gradient(gap, points).numpy().reshape(800, -1)
    lengths = np.linalg.norm(slopes, DUAL[norm], axis=1).reshape(4, 200)
    # The largest of 30 is below the median of all once in 2^30.
    assert np.all(maxima[:, :, 0] >= np.median(lengths, axis=1) * (1 - 1e-5))
    assert np.all(maxima[:, :, 0].min(axis=0) <= lengths.max(axis=1))
    # Not many: within a linear region all gradients are the same.
    assert len(np.unique(maxima[:, 0, 0])) > 3


@hypothesis.given(
    shape=st.floats(1.5, 8),
    end=st.floats(0.1, 100),
    width=st.floats(0.1, 1),
    seed=st.integers(0, 99),
)
def test_endpoint_of_known_distributions(shape, end, width, seed):
    """From 500 draws it comes within a quarter of the scale, and grows with the draws."""
    scale = width * end
    drawn = stats.weibull_max.rvs(shape, end, scale, size=500, random_state=seed)
    found = endpoint(drawn)
    assert found >= drawn.max() - 1e-9 * end
    assert abs(found - end) < 0.25 * scale
    assert endpoint(7 * drawn) == pytest.approx(7 * found, rel=1e-6)


def test_endpoint_of_equal_numbers():
    assert endpoint(np.full(20, 3.0)) == 3.0
    assert endpoint(np.zeros(20)) == 0.0
    assert endpoint(np.array([2.5])) == 2.5


def test_endpoint_of_few_numbers_stays_near():
    """Where the end of a plain fit may run away: few draws of a distribution without an end."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = rng.gumbel(10, 1, size=20)
        assert drawn.max() <= endpoint(drawn) < drawn.max() + 10 * drawn.std()


def test_flat_models_have_the_largest_score():
    """No gradient, no adversarial example within the ball."""
    found = clever(lambda x: tf.constant([[2.0, 0.0]]) + 0 * x[:, :2], tf.ones([3, 4]), **FEW)
    np.testing.assert_array_equal(found, [5.0] * 3)


def test_seed_decides(trained, batch):
    options = dict(ball=Ball("l2", 2.0), **FEW)
    first, again, other = (clever(trained, batch[0][:3], seed=s, **options) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.all(first < 2.0) and np.any(first != other)
    np.testing.assert_allclose(first, other, rtol=0.3)


def test_many_examples_are_measured_in_parts(monkeypatch):
    """So that memory is bounded; 7 examples, 2 at once."""
    network = model(3)
    x = split(network, 3).images[:7]
    monkeypatch.setattr(module, "_POINTS", 2 * FEW["samples"])
    found = clever(network, x, Ball("l2", 100.0), **FEW)
    np.testing.assert_allclose(found, distances(network, x, 2), rtol=1e-3)


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(ball=Ball("l2", 0.0)), "epsilon=0.0: must be above 0"),
        (dict(batches=0), "batches=0: must be at least 1"),
        (dict(targets=[1, 2]), "targets of shape .2,. and dtype int64: must be 1 integers"),
        (dict(targets=[1.0]), "dtype float64: must be 1 integers"),
        (dict(targets=[3]), "targets reach from 3 to 3: must be in .0, 3"),
        (dict(targets=[0]), "must not be the predicted classes"),
    ],
)
def test_refuses(change, words):
    arguments = dict(x=tf.zeros([1, 3]), batches=2, samples=2) | change
    with pytest.raises(InputError, match=words):
        clever(lambda x: x, **arguments)
