"""FAB: exact projections, exact on linear models, within the clip range."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linprog, minimize

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.fab import FAB, to_plane
from robust_sparse_tf.errors import InputError

pytestmark = pytest.mark.slow  # a minute in all

NORMS = ["linf", "l2", "l1"]
EVERY_NORM = pytest.mark.parametrize("norm", NORMS)
ORDERS = {"linf": 1, "l2": 2, "l1": np.inf}


@pytest.fixture(scope="module")
def logits(trained):
    return lambda x: trained.network(x, training=False)


@pytest.fixture(scope="module")
def right(logits, batch):
    """Digits and what the network says they are."""
    return batch[0], tf.argmax(logits(batch[0]), axis=1)


@pytest.fixture(scope="module", params=NORMS)
def attacked(request, logits, right):
    """An attack, its graph for any batch size, and what it makes of the digits."""
    attack = FAB(norm=request.param, steps=20, candidates=5)
    specs = [tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None], tf.int64)]
    graph = tf.function(lambda x, y: attack(logits, x, y), input_signature=specs)
    return attack, graph, graph(*right)


def oracle(x, gradient, gap, norm) -> tuple[float, float]:
    """The norm of the smallest change within [0, 1], and how much of the gap it fills: by scipy."""
    entries = len(x)
    reach = np.sum(gradient * np.where((gradient > 0) == (gap > 0), 1 - x, -x))
    goal = np.sign(gap) * min(abs(gap), abs(reach))
    bounds = [(-v, 1 - v) for v in x]
    if norm == "l2":
        found = minimize(
            lambda d: (d @ d) / 2,
            goal * gradient / (gradient @ gradient),
            jac=lambda d: d,
            bounds=bounds,
            constraints=dict(type="eq", fun=lambda d: gradient @ d - goal, jac=lambda d: gradient),
            options=dict(ftol=1e-12, maxiter=500),
        )
        return np.linalg.norm(found.x), goal
    # Linear programs in the change and what bounds its entries: all by one number, or each by one.
    count = 1 if norm == "linf" else entries
    limits = np.ones((entries, 1)) if norm == "linf" else np.eye(entries)
    found = linprog(
        np.r_[np.zeros(entries), np.ones(count)],
        A_ub=np.block([[np.eye(entries), -limits], [-np.eye(entries), -limits]]),
        b_ub=np.zeros(2 * entries),
        A_eq=np.r_[gradient, np.zeros(count)][None],
        b_eq=[goal],
        bounds=bounds + [(0, None)] * count,
    )
    return found.fun, goal


@hypothesis.given(
    norm=st.sampled_from(NORMS), share=st.floats(-1.2, 1.2), seed=st.integers(0, 2**31)
)
def test_smallest_change_to_a_plane(norm, share, seed):
    """As small as scipy's, whether the range stops few of the entries, many or all."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(size=(3, 7)).astype(np.float32)
    x[draw.uniform(size=x.shape) < 0.3] = 0
    gradient = draw.normal(size=(3, 7)).astype(np.float32)
    gradient[:, 0] = 0
    reach = np.sum(gradient * np.where((gradient > 0) == (share > 0), 1 - x, -x), axis=1)
    gap = np.float32(abs(share) * reach)
    change = to_plane(*map(tf.constant, (x, gradient, gap)), norm, (0.0, 1.0)).numpy()
    assert np.all(x + change >= -1e-6) and np.all(x + change <= 1 + 1e-6)
    for i in range(3):
        size, goal = oracle(*(v[i].astype(np.float64) for v in (x, gradient, gap)), norm)
        np.testing.assert_allclose(change[i] @ gradient[i], goal, rtol=1e-4, atol=1e-5)
        order = norms.ORDERS[norm]
        np.testing.assert_allclose(np.linalg.norm(change[i], order), size, rtol=1e-3, atol=1e-5)


@EVERY_NORM
@pytest.mark.parametrize("gradient, gap", [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)])
def test_no_change_without_gradient_or_gap(norm, gradient, gap):
    x = tf.fill([2, 3], 0.5)
    change = to_plane(x, tf.fill([2, 3], gradient), tf.fill([2], gap), norm, (0.0, 1.0))
    np.testing.assert_array_equal(change, tf.zeros_like(x))


@EVERY_NORM
@pytest.mark.parametrize("targets", [0, 4])
@pytest.mark.parametrize("bounds", [(-1000.0, 1000.0), (0.0, 1.0)])
def test_linear_models(norm, targets, bounds):
    """The exact distance, with the clip range in the way or not."""
    draw = np.random.default_rng(1)
    weights = draw.normal(size=(20, 5)).astype(np.float32)
    x = tf.constant(draw.uniform(size=(20, 20)), tf.float32)

    def model(x):
        return x @ weights

    y = tf.argmax(model(x), axis=1)
    low, high = bounds
    attack = FAB(norm=norm, steps=15, target_classes=targets, low=low, high=high)
    adversarial = tf.function(lambda x, y: attack(model, x, y))(x, y)
    exact = np.full(20, np.inf)
    for k in range(5):
        gradient = weights[:, [k]].T - weights.T[y.numpy()]
        gap = -tf.reduce_sum(gradient * x, axis=1)
        change = to_plane(x, gradient, gap, norm, bounds).numpy()
        reached = np.sum(gradient * change, axis=1) > 0.9999 * gap - 1e-6
        lengths = np.linalg.norm(change, norms.ORDERS[norm], axis=1)
        exact = np.where((k != y) & reached, np.minimum(exact, lengths), exact)
        if low < 0:
            sizes = np.linalg.norm(gradient, ORDERS[norm], axis=1)
            np.testing.assert_allclose((lengths * sizes)[k != y], gap[k != y], rtol=1e-4)
    assert np.all(attack.fools(model(adversarial), y)) and np.all(np.isfinite(exact))
    found = norms.distance(adversarial - x, norm)
    np.testing.assert_allclose(found, exact, rtol=0.01, atol=1e-4)


def test_fools_within_the_clip_range(attacked, right, logits):
    attack, _, adversarial = attacked
    x, y = right
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert np.min(adversarial) >= 0 and np.max(adversarial) <= 1
    assert np.all(attack.fools(logits(adversarial), y))


def test_more_work_finds_nearer_ones(right, logits):
    """More steps of one attempt, and more attempts, do not do worse."""
    x, y = right

    def mean(**options):
        attack = FAB(norm="l2", **options)
        found = tf.function(lambda x, y: attack(logits, x, y))(x, y)
        assert np.all(attack.fools(logits(found), y))
        return np.mean(norms.distance(found - x, "l2"))

    # The binary search can end on another boundary, by little.
    assert mean(steps=20, target_classes=1) < mean(steps=2, target_classes=1)
    assert mean(steps=20, target_classes=9) < 0.99 * mean(steps=20, target_classes=1)
    assert mean(steps=9, target_classes=1, restarts=5) < 0.999 * mean(steps=9, target_classes=1)


def test_graph_gives_what_eager_gives(right, logits):
    for targets in (0, 2):
        attack = FAB(norm="l2", steps=4, restarts=2, target_classes=targets, candidates=4)
        graph = tf.function(lambda x, y, attack=attack: attack(logits, x, y, seed=(1, 2)))
        np.testing.assert_allclose(
            attack(logits, *right, seed=(1, 2)), graph(*right), rtol=0, atol=1e-3
        )


@hypothesis.given(
    fooled=st.lists(st.booleans(), min_size=1, max_size=16), seed=st.integers(0, 2**31)
)
@hypothesis.settings(max_examples=10)
def test_examples_do_not_meet(attacked, right, fooled, seed):
    """In any batch each is treated as in another; those fooled at the start stay as they are."""
    attack, graph, adversarial = attacked
    chosen = np.random.default_rng(seed).integers(0, 16, len(fooled))
    x, y, alone = (tf.gather(value, chosen) for value in (*right, adversarial))
    found = graph(x, tf.where(fooled, (y + 1) % 10, y))
    np.testing.assert_array_equal(found[np.array(fooled)], x[np.array(fooled)])
    kept = ~np.array(fooled)
    distances = (norms.distance(z[kept] - x[kept], attack.norm) for z in (found, alone))
    np.testing.assert_allclose(*distances, rtol=0.01)


@hypothesis.given(
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    epsilon=st.floats(0, 1000),
    targets=st.integers(0, 12),
    norm=st.sampled_from(NORMS),
)
@hypothesis.settings(max_examples=6)
def test_never_leaves_the_clip_range(logits, batch, bounds, epsilon, targets, norm):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    attack = FAB(
        norm=norm, steps=2, restarts=2, epsilon=epsilon, target_classes=targets,
        candidates=3, low=low, high=high,
    )  # fmt: skip
    adversarial = tf.function(lambda x, y: attack(logits, x, y))(x, y)
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    # Each is either fooled or as it was.
    same = np.all(adversarial == x, axis=(1, 2, 3))
    assert np.all(attack.fools(logits(adversarial), y) | same)


@EVERY_NORM
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 100.0])
def test_starts(norm, epsilon, batch):
    """At the input, then at random points within half of epsilon or of the distance found."""
    x = tf.reshape(batch[0], [16, -1])
    least = tf.where(tf.range(16) < 8, 0.7, tf.float32.max)
    attack = FAB(norm=norm, epsilon=epsilon)

    def start(attempt, seed):
        return attack._start(x, least, attempt, attempt, tf.constant(seed, tf.int64))

    np.testing.assert_array_equal(start(0, [1, 2]), x)
    same, again, other, next_one = (
        start(1, [1, 2]),
        start(1, [1, 2]),
        start(1, [1, 3]),
        start(2, [1, 2]),
    )
    np.testing.assert_array_equal(same, again)
    assert np.any(same != other) == np.any(same != next_one) == np.any(same != x) == (epsilon > 0)
    assert np.min(same) >= 0 and np.max(same) <= 1
    distances = norms.distance(same - x, norm).numpy()
    assert np.all(distances <= np.minimum(least, epsilon) / 2 + 1e-6)
    assert epsilon == 0 or np.max(distances[:8]) > 0.1 * min(0.7, epsilon)


@EVERY_NORM
def test_seed(norm, right, logits):
    """The same for a seed; without restarts for any."""
    for restarts, others in [(2, (1, 2)), (1, (3, 4))]:
        attack = FAB(norm=norm, steps=3, restarts=restarts, target_classes=1)
        run = tf.function(lambda seed, attack=attack: attack(logits, *right, seed=seed))
        one, other = (run(tf.constant(seed, tf.int64)) for seed in ((1, 2), others))
        np.testing.assert_array_equal(one, other)


def test_restarts_start_elsewhere(right, logits):
    attack = FAB(norm="l2", steps=20, restarts=2, target_classes=1)
    run = tf.function(lambda seed: attack(logits, *right, seed=seed))
    one, other = (run(tf.constant(seed, tf.int64)) for seed in ((1, 2), (3, 4)))
    assert np.any(one != other)


def test_near_enough(attacked, right, logits):
    """Examples fooled within `stop_within` are left; the others end where they did."""
    attack, _, adversarial = attacked
    x, y = right
    distances = norms.distance(adversarial - x, attack.norm).numpy()
    radius = float(np.median(distances))
    early = FAB(norm=attack.norm, steps=20, candidates=5, stop_within=radius)
    found = tf.function(lambda x, y: early(logits, x, y))(x, y)
    reached = norms.distance(found - x, attack.norm).numpy()
    inside = distances < 0.99 * radius
    assert np.all(reached[inside] <= radius) and np.any(reached[inside] > 1.001 * distances[inside])
    outside = distances > 1.01 * radius
    np.testing.assert_allclose(reached[outside], distances[outside], rtol=0.01)


def test_what_cannot_be_fooled_stays():
    x, y = tf.random.stateless_uniform([4, 5], (0, 0)), tf.zeros([4], tf.int64)
    constant = tf.constant([[1.0, 0.0, 0.5]])
    for targets in (0, 2):
        attack = FAB(target_classes=targets, steps=3)
        np.testing.assert_array_equal(attack(lambda x: 0 * x[:, :3] + constant, x, y), x)


def test_refuses():
    for arguments, words in [
        (dict(norm="l0"), "norm=l0: must be one of"),
        (dict(candidates=1), "candidates=1: must be at least 2"),
        (dict(eta=0.9), "eta=0.9: must be at least 1"),
        (dict(alpha_max=1.1), "alpha_max=1.1: must be"),
        (dict(beta=0.0), "beta=0.0: must be above 0"),
        (dict(epsilon=-1.0), "epsilon=-1.0: must be at least 0"),
        (dict(target_classes=-1), "target_classes=-1: must be at least 0"),
        (dict(targeted=True), "FAB has no targeted form"),
    ]:
        with pytest.raises(InputError, match=words):
            FAB(**arguments)
