"""Linear bounds, against exact ones and against intervals."""

import itertools

import bounded_networks
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from scipy.optimize import linprog

from robust_sparse_tf import bounds
from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds import crown, interval_bounds, propagation
from robust_sparse_tf.errors import InputError

layers = keras.layers
Y = tf.constant([0, 1, 2, 3] * 2, tf.int64)


def tiny(seed: int) -> keras.Model:
    """Two inputs, two layers of three ReLUs, three classes."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(3, "relu", bias_initializer="random_normal"),
            layers.Dense(3, "relu", bias_initializer="random_normal"),
            layers.Dense(3),
        ]
    )
    network.set_weights([3 * weight for weight in network.get_weights()])
    return network


def exact(network: keras.Model, x: np.ndarray, y: int, epsilon: float) -> np.ndarray:
    """The margins' minima, by a linear program for each pattern of active ReLUs."""
    weights = [np.float64(weight) for weight in network.get_weights()]
    box = [(max(0, value - epsilon), min(1, value + epsilon)) for value in x]
    best = np.full(3, np.inf)
    for pattern in itertools.product([0.0, 1.0], repeat=6):
        slope, offset, rows, ends = np.eye(2), np.zeros(2), [], []
        for number in range(2):
            kernel, bias = weights[2 * number : 2 * number + 2]
            slope, offset = slope @ kernel, offset @ kernel + bias
            active = np.array(pattern[3 * number : 3 * number + 3])
            rows += list((-slope * (2 * active - 1)).T)
            ends += list(offset * (2 * active - 1))
            slope, offset = slope * active, offset * active
        slope, offset = slope @ weights[4], offset @ weights[4] + weights[5]
        for k in range(3):
            goal = slope[:, y] - slope[:, k]
            found = linprog(goal, np.array(rows), np.array(ends), bounds=box)
            if found.status == 0:
                best[k] = min(best[k], found.fun + offset[y] - offset[k])
    return best


def linear_bounds(network: keras.Model, x: np.ndarray, y: int, epsilon: float) -> np.ndarray:
    """The margins' bounds for dense layers and one image: Zhang et al., theorem 3.2, in NumPy."""
    weights = [np.float64(weight) for weight in network.get_weights()]
    dense = list(zip(weights[::2], weights[1::2], strict=True))
    low, high = np.maximum(x - epsilon, 0), np.minimum(x + epsilon, 1)
    centre, radius = (high + low) / 2, (high - low) / 2
    ends = []  # of what each ReLU is applied to

    def below(rows: np.ndarray, constants: np.ndarray) -> np.ndarray:
        """Bounds on functions of the last ReLU's output, or of the image if there is none yet."""
        for (low, high), (kernel, bias) in zip(ends[::-1], dense[: len(ends)][::-1], strict=True):
            both = (low < 0) & (high > 0)
            upper = np.where(both, high / (high - low), low >= 0)
            lower = np.where(both, high > -low, low >= 0)
            constants = constants - np.maximum(-rows, 0) @ np.where(both, -upper * low, 0)
            rows = np.where(rows > 0, lower, upper) * rows
            rows, constants = rows @ kernel.T, constants + rows @ bias
        return rows @ centre - np.abs(rows) @ radius + constants

    for kernel, bias in dense[:-1]:
        middle, spread = (low + high) / 2 @ kernel + bias, (high - low) / 2 @ np.abs(kernel)
        least = np.maximum(below(kernel.T, bias), middle - spread)
        most = np.minimum(-below(-kernel.T, -bias), middle + spread)
        ends.append((least, most))
        low, high = np.maximum(least, 0), np.maximum(most, 0)
    kernel, bias = dense[-1]
    return below((kernel[:, [y]] - kernel).T, bias[y] - bias)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.4])
def test_equal_to_numpy(seed, epsilon):
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(n, "relu", bias_initializer="random_normal") for n in (9, 7, 8)]
    network = keras.Sequential([layers.Input((6,)), *hidden, layers.Dense(4)])
    x = np.random.default_rng(seed).random((1, 6)).astype(np.float32)
    y, ball = tf.constant([seed % 4], tf.int64), Ball("linf", epsilon)
    steps = crown.tightened(propagation.propagate(network, propagation.input_box(x, ball)), ball)
    found = crown.margins(steps, y, ball, lines=(crown.adaptive,))[0]
    expected = linear_bounds(network, np.float64(x[0]), seed % 4, epsilon)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.4])
def test_between_intervals_and_exact_bounds(seed, epsilon):
    network, x = tiny(seed), np.array([[0.3, 0.7]], np.float32)
    y, ball = tf.constant([seed % 3], tf.int64), Ball("linf", epsilon)
    linear, interval = (
        bounds.margin_bounds(network, x, y, ball, method)[0].numpy()
        for method in ("linear", "interval")
    )
    other = np.arange(3) != seed % 3
    best = exact(network, x[0], seed % 3, epsilon)
    assert np.all(interval[other] <= linear[other])
    assert np.all(linear[other] <= best[other] + 1e-4)
    if epsilon == 0.02:  # few ReLUs change sign
        np.testing.assert_allclose(linear[other], best[other], rtol=0.15, atol=0.02)


def test_the_exact_bounds_are_attained():
    """The oracle itself: no point of a grid is below its minimum, and one is near."""
    network, x = tiny(0), np.array([0.3, 0.7], np.float32)
    best = exact(network, x, 0, 0.2)
    grid = np.stack(np.meshgrid(*(np.linspace(v - 0.2, v + 0.2, 101) for v in x)), -1)
    logits = network(grid.reshape(-1, 2).astype(np.float32)).numpy()
    gaps = (logits[:, :1] - logits).min(axis=0)
    assert np.all(gaps >= best - 1e-4) and np.all(gaps[1:] <= best[1:] + 0.1)


def bounds_of(network: keras.Model, x: tf.Tensor, ball: Ball) -> list[np.ndarray]:
    """Margins by intervals, by linear bounds on these, and with ReLUs' inputs tightened."""

    @tf.function
    def found() -> list[tf.Tensor]:
        plain = interval_bounds.unwrapped(network)
        steps = propagation.propagate(plain, propagation.input_box(x, ball))
        tight = crown.margins(crown.tightened(steps, ball), Y, ball)
        return [interval_bounds.margins(steps, Y, ball), crown.margins(steps, Y, ball), tight]

    return [each.numpy() for each in found()]


def check_bounds(name: str, norm: str, epsilon: float) -> None:
    network, x, ball = bounded_networks.make(name), bounded_networks.inputs(8), Ball(norm, epsilon)
    interval, loose, tight = bounds_of(network, x, ball)
    other = np.isfinite(interval)
    assert np.mean(tight[other]) >= np.mean(loose[other]) > np.mean(interval[other])
    rng, order = np.random.default_rng(0), {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    for _ in range(20):
        moves = rng.choice([-1.0, 1.0], size=x.shape)
        if norm != "linf":
            moves *= rng.random(x.shape) < 0.05
        size = np.linalg.norm(moves.reshape(8, -1), order, axis=1).max()
        moved = np.clip(x + epsilon * moves / size, 0, 1).astype(np.float32)
        logits = network(moved, training=False)
        gaps = (tf.gather(logits, Y, batch_dims=1)[:, None] - logits).numpy()
        assert np.all(tight[other] <= gaps[other] + 1e-4)


def test_they_hold_all_outputs_and_are_tighter():
    check_bounds("residual", "linf", 0.03)


@pytest.mark.slow
@pytest.mark.parametrize("norm, epsilon", [("linf", 0.03), ("l2", 0.2), ("l1", 1.0)])
@pytest.mark.parametrize("name", ["mlp", "masked", "ungrouped", "residual", "pooled"])
def test_of_every_network_and_norm(name, norm, epsilon):
    check_bounds(name, norm, epsilon)


def test_the_best_of_both():
    network, x = bounded_networks.make("mlp"), bounded_networks.inputs(8)
    ball = Ball("linf", 0.1)
    interval, _, tight = bounds_of(network, x, ball)
    found = bounds.margin_bounds(network, x, Y, ball, "linear")
    expected = np.where(np.isinf(interval), np.inf, np.maximum(interval, tight))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_flat_lines_are_never_looser_than_intervals():
    network, x = bounded_networks.make("mlp"), bounded_networks.inputs(8)
    for epsilon in (0.01, 0.1, 0.5):
        ball = Ball("linf", epsilon)
        steps = propagation.propagate(network, propagation.input_box(x, ball))
        interval = interval_bounds.margins(steps, Y, ball).numpy()
        other = np.isfinite(interval)
        found = crown.margins(steps, Y, ball, [crown.flat]).numpy()
        assert np.all(found[other] >= interval[other] - 1e-3 * np.abs(interval[other]))


def test_linear_networks_are_exact():
    network = bounded_networks.make("mlp")
    for layer in network.layers[-3:-1]:
        layer.bias.assign(layer.bias + 100)  # no ReLU changes sign
    x, ball = bounded_networks.inputs(8), Ball("linf", 0.05)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = network(x)
    jacobian = tape.batch_jacobian(logits, x).numpy()
    own = jacobian[np.arange(8), Y][:, None] - jacobian
    least = np.where(own > 0, np.maximum(0, x - 0.05)[:, None], np.minimum(1, x + 0.05)[:, None])
    gaps = (tf.gather(logits, Y, batch_dims=1)[:, None] - logits).numpy()
    expected = gaps + np.sum(own * (least - np.asarray(x)[:, None]), axis=(2, 3, 4))
    found = bounds.margin_bounds(network, x, Y, ball, "linear").numpy()
    other = np.isfinite(found)
    np.testing.assert_allclose(found[other], expected[other], rtol=1e-3, atol=1e-3)


def test_methods():
    network, x = bounded_networks.make("mlp"), bounded_networks.inputs(8)
    with pytest.raises(InputError, match="method=exact: must be one of interval, linear"):
        bounds.margin_bounds(network, x, Y, Ball("linf", 0.1), "exact")
