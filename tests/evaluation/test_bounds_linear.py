import numpy as np
import pytest
from linear_problem import ExactLinear, distances, jacobian, model, split

from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.bounds_linear import binary_bounds, multiclass_bounds
from robust_sparse_tf.evaluation.margins import r_2, r_inf

WIDE = dict(low=-100.0, high=100.0)
SEEDS = pytest.mark.parametrize("seed", range(4))


def uneven(network, classes):
    """A split with more right examples of class 0 than of the others."""
    data = split(network, classes)
    keep = np.flatnonzero((data.labels == 0) | (np.arange(data.size) % 2 == 0))
    return Split(data.images[keep], data.labels[keep], num_classes=classes, batch_size=50)


def true_r_2(network, data):
    right = np.argmax(network(data.images), axis=1) == data.labels
    return np.where(right, distances(network, data.images, 2), 0).mean()


@SEEDS
def test_theorem_3_1_is_exact(seed):
    """Both classes have equally many correct examples: r_2 is the mean distance itself."""
    network = model(2, seed=seed)
    data = split(network, 2)
    bounds = binary_bounds(network, data, 0.1)
    assert bounds.r_2 == pytest.approx(true_r_2(network, data), rel=1e-5)
    assert bounds.r_2 == pytest.approx(r_2(network, data, ExactLinear()), rel=1e-3)


@SEEDS
def test_uneven_classes(seed):
    """There the theorem's formula is off, and each class must count by its share."""
    network = model(2, seed=seed)
    data = uneven(network, 2)
    exact = true_r_2(network, data)
    assert binary_bounds(network, data, 0.1, as_stated=False).r_2 == pytest.approx(exact, rel=1e-5)
    assert binary_bounds(network, data, 0.1).r_2 != pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    "seed, epsilon",
    [
        pytest.param(seed, epsilon, marks=[pytest.mark.slow] * (seed != place))
        for seed in range(4)
        for place, epsilon in enumerate([0.02, 0.05, 0.1, 0.3])
    ],
)
def test_bounds_lie_above_what_is_measured(seed, epsilon):
    """FGSM is the strongest attack on two classes; on more the exact distance tells."""
    network = model(2, seed=seed)
    for data in (split(network, 2), uneven(network, 2)):
        bounds = binary_bounds(network, data, epsilon, as_stated=False)
        assert r_inf(network, data, FGSM(epsilon=epsilon, **WIDE)) <= bounds.r_inf

    network = model(5, seed=seed)
    for data in (split(network, 5), uneven(network, 5)):
        bounds = multiclass_bounds(network, data, epsilon, as_stated=False)
        assert true_r_2(network, data) <= bounds.r_2
        right = np.argmax(network(data.images), axis=1) == data.labels
        assert np.mean(right & (distances(network, data.images, 1) > epsilon)) <= bounds.r_inf


@pytest.mark.parametrize("classes, bounds", [(2, binary_bounds), (4, multiclass_bounds)])
def test_the_theorems_as_they_are_written(classes, bounds):
    network = model(classes, scaled=True)
    data = uneven(network, classes)
    found = bounds(network, data, 0.2)

    w, x = jacobian(network).numpy(), data.images.reshape(data.size, -1)
    right = np.argmax(network(data.images), axis=1) == data.labels
    t = right.mean()
    mu = [x[right & (data.labels == k)].mean(axis=0) for k in range(classes)]
    if classes == 2:
        v = w[1] - w[0]
        top = t / 2 * v @ (mu[1] - mu[0])
        expected = top / np.linalg.norm(v), top / (0.2 * np.abs(v).sum())
    else:
        rows = [w[k] - w.mean(axis=0) for k in range(classes)]
        expected = (
            t / classes * sum(r @ m / np.linalg.norm(r) for r, m in zip(rows, mu, strict=True)),
            t / classes * sum(r @ m / (0.2 * abs(r).sum()) for r, m in zip(rows, mu, strict=True)),
        )
    assert tuple(found) == pytest.approx(expected, rel=1e-4)


def test_refuses(trained, digits):
    two, five = model(2), model(5)
    with pytest.raises(InputError, match="must be linear in the images"):
        multiclass_bounds(trained, digits[2], 0.1)
    with pytest.raises(InputError, match="num_classes=5: must be 2"):
        binary_bounds(five, split(five, 5), 0.1)
    with pytest.raises(InputError, match="has 2 logits, must have 5"):
        multiclass_bounds(two, split(five, 5), 0.1)
    with pytest.raises(InputError, match="epsilon=0: must be above 0"):
        binary_bounds(two, split(two, 2), 0)
    data = split(two, 2)
    of_one = Split(data.images, 0 * data.labels, num_classes=2, batch_size=5)
    with pytest.raises(InputError, match="no example of class 1 correctly"):
        binary_bounds(two, of_one, 0.1)
    with pytest.raises(InputError, match="data of type list"):
        binary_bounds(two, [], 0.1)
