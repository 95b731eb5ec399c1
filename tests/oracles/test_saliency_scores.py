"""Saliency scores against their definitions, computed the slow way on tiny networks."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.sparsity import SNIP, GraSP, Magnitude, SynFlow, masked_weights

layers = keras.layers
Masks = list[np.ndarray]


def slow(*values):
    """A case of which another one like it is looked at each time."""
    return pytest.param(*values, marks=pytest.mark.slow)


def smooth() -> keras.Model:
    """34 weights in dense and convolutional kernels, and biases; smooth, so that H exists."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            layers.Input((3, 3, 1)),
            layers.Conv2D(2, 2, activation="tanh", bias_initializer="glorot_uniform"),
            layers.Flatten(),
            layers.Dense(2, activation="tanh", bias_initializer="ones"),
            layers.Dense(5),
        ]
    )


def batches(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        (rng.random((6, 3, 3, 1)).astype(np.float32), rng.integers(0, 5, 6)) for _ in range(number)
    ]


def split(vector: tf.Tensor, like: list) -> list[tf.Tensor]:
    sizes = [part.shape.num_elements() for part in like]
    parts = tf.split(vector, sizes)
    return [tf.reshape(part, own.shape) for part, own in zip(parts, like, strict=True)]


def loss_of(model: keras.Model, data: list, temperature: float = 1.0) -> Callable:
    """The loss as a function of one float64 vector of all prunable weights, written out."""
    kernels = [entry.weight for entry in masked_weights(model)]
    biases = [tf.cast(v, tf.float64) for v in model.trainable_variables if "bias" in v.name]

    def loss(vector: tf.Tensor) -> tf.Tensor:
        conv, hidden, last = split(vector, kernels)
        total = tf.constant(0.0, tf.float64)
        for x, y in data:
            x = tf.nn.conv2d(tf.cast(x, tf.float64), conv, 1, "VALID") + biases[0]
            x = tf.tanh(tf.reshape(tf.tanh(x), [len(y), -1]) @ hidden + biases[1])
            log = tf.nn.log_softmax((x @ last + biases[2]) / temperature)
            total -= tf.reduce_mean(tf.gather(log, y, batch_dims=1))
        return total

    return loss


def vector_of(model: keras.Model) -> np.ndarray:
    flat = [entry.weight.numpy().ravel() for entry in masked_weights(model)]
    return np.concatenate(flat).astype(np.float64)


def flat(scores: list[tf.Tensor]) -> np.ndarray:
    return np.concatenate([score.numpy().ravel() for score in scores])


@pytest.mark.parametrize("number", [1, 3])
def test_snip_is_the_derivative_by_the_mask(number):
    """|dL/dc_j| at c = 1, by differences: the loss with one entry of the mask a little changed."""
    model, data = sparsify(smooth()), batches(number)
    loss, weights, step = tf.function(loss_of(model, data)), vector_of(model), 1e-5
    expected = []
    for place in range(weights.size):
        more, less = np.ones_like(weights), np.ones_like(weights)
        more[place] += step
        less[place] -= step
        expected.append(
            abs(
                float(loss(tf.constant(more * weights)) - loss(tf.constant(less * weights)))
                / (2 * step)
            )
        )
    found = flat(SNIP(score_batches=number).scores(model, data))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert np.count_nonzero(found) > 0.9 * found.size


@pytest.mark.parametrize(
    "temperature, number", [(200.0, 1), (1.0, 2), slow(200.0, 2), slow(1.0, 1)]
)
def test_grasp_has_the_hessian(number, temperature):
    """w (H g), with the whole of H from nested tapes."""
    model, data = sparsify(smooth()), batches(number)
    loss, weights = loss_of(model, data, temperature), tf.constant(vector_of(model))
    with tf.GradientTape() as outer:
        outer.watch(weights)
        with tf.GradientTape() as inner:
            inner.watch(weights)
            value = loss(weights)
        gradient = inner.gradient(value, weights)
    hessian = outer.jacobian(gradient, weights)
    np.testing.assert_allclose(hessian, tf.transpose(hessian), atol=1e-9)
    expected = (weights * tf.linalg.matvec(hessian, gradient)).numpy()
    found = flat(GraSP(score_batches=number, temperature=temperature).scores(model, data))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert (found > 0).any() and (found < 0).any()


def test_grasp_says_how_the_norm_of_the_gradient_falls():
    """To first order, without weight j the gradient's squared norm changes by -2 w_j (H g)_j."""
    model, data = sparsify(smooth()), batches(1)
    loss, weights = loss_of(model, data), vector_of(model)

    @tf.function
    def norm(vector: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(vector)
            value = loss(vector)
        return tf.reduce_sum(tape.gradient(value, vector) ** 2)

    found, step = flat(GraSP(temperature=1.0).scores(model, data)), 1e-5
    for place in range(weights.size):
        less, more = weights.copy(), weights.copy()
        less[place] *= 1 - step
        more[place] *= 1 + step
        change = float(norm(tf.constant(less)) - norm(tf.constant(more))) / 2
        assert change == pytest.approx(-2 * step * found[place], rel=1e-3, abs=1e-9)


def without_biases(*, pooled: bool = False) -> keras.Model:
    keras.utils.set_random_seed(2)
    middle = [layers.AveragePooling2D(2)] if pooled else []
    return keras.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(4, 3, use_bias=False, padding="same", activation="relu"),
            *middle,
            layers.Conv2D(3, 3, use_bias=False, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(12, use_bias=False, activation="relu"),
            layers.Dense(10, use_bias=False),
        ]
    )


@pytest.mark.parametrize(
    "pooled, density", [(False, 1.0), (True, 0.3), slow(False, 0.3), slow(True, 1.0)]
)
def test_synaptic_flow_is_conserved(density, pooled):
    """Without biases the scores of each layer add up to the same R (theorem 2)."""
    model = sparsify(without_biases(pooled=pooled), Magnitude(density))
    sums = [float(tf.reduce_sum(score)) for score in SynFlow().scores(model)]
    network = without_biases(pooled=pooled)
    for own, entry in zip(network.trainable_variables, masked_weights(model), strict=True):
        own.assign(tf.abs(entry.weight))
    flow = float(tf.reduce_sum(network(tf.ones([1, 8, 8, 2]))))
    assert flow > 0 and sums == pytest.approx([flow] * 4, rel=1e-4)


def test_synaptic_flow_of_two_dense_layers():
    """R = 1' |W_1| |W_2| 1: a weight's score is itself times all flow into and out of it."""
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    network = keras.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(4, use_bias=False, activation="relu"),
            layers.Dense(3, use_bias=False),
        ]
    )
    network.set_weights([first, last])
    found = SynFlow().scores(sparsify(network))
    into, out = np.abs(first).sum(axis=0), np.abs(last).sum(axis=1)
    np.testing.assert_allclose(found[0], np.abs(first) * out, rtol=1e-5)
    np.testing.assert_allclose(found[1], np.abs(last) * into[:, None], rtol=1e-5)


@pytest.mark.parametrize("prune_steps", [1, 5])
def test_synflow_step_by_step(prune_steps):
    """Algorithm 1 in NumPy: score, rank all, keep density^(k/n); and again."""
    rng = np.random.default_rng(3)
    kernels = [rng.normal(size=shape).astype(np.float32) for shape in ((20, 15), (15, 10))]
    network = keras.Sequential(
        [
            layers.Input((20,)),
            layers.Dense(15, use_bias=False, activation="relu"),
            layers.Dense(10, use_bias=False),
        ]
    )
    network.set_weights(kernels)
    density, masks = 0.1, [np.ones((20, 15)), np.ones((15, 10))]
    for step in range(1, prune_steps + 1):
        first, last = (np.abs(w) * mask for w, mask in zip(kernels, masks, strict=True))
        scores = np.concatenate(
            [
                (first * last.sum(axis=1)).ravel(),
                (last * first.sum(axis=0)[:, None]).ravel(),
            ]
        )
        count = round(density ** (step / prune_steps) * 450)
        keep = np.zeros(450)
        keep[np.argsort(-scores, kind="stable")[:count]] = 1
        masks = [keep[:300].reshape(20, 15), keep[300:].reshape(15, 10)]
    sparse = sparsify(network, SynFlow(density, prune_steps=prune_steps))
    for entry, mask in zip(masked_weights(sparse), masks, strict=True):
        np.testing.assert_array_equal(entry.mask, mask)
