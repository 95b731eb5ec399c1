import functools

import bounded_networks
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from linear_problem import distances, model, split

from robust_sparse_tf import models, sparsity
from robust_sparse_tf.attacks import FGSM, PGD, Ball, norms
from robust_sparse_tf.bounds import logit_bounds, margin_bounds
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator, certified_accuracy

pytestmark = pytest.mark.slow  # many networks, norms and radii

NETWORKS = {name: bounded_networks.make(name) for name in bounded_networks.ALL}
every_network = pytest.mark.parametrize("name", NETWORKS)
layers = keras.layers


def points(x, norm, epsilon, seed):
    """Points of the ball, corners and faces of it among them, within [0, 1]."""
    rng = np.random.default_rng(seed)
    noise = norms.uniform(x.shape, norm, epsilon, (seed, 0))
    if norm == "linf":
        corners = epsilon * rng.choice([-1.0, 1.0], size=x.shape)
    else:
        corners = norms.steepest(tf.constant(rng.normal(size=x.shape), tf.float32), norm, epsilon)
    some = tf.constant(rng.random(size=[len(x), 1, 1, 1]) < 0.5)
    return tf.clip_by_value(x + tf.where(some, noise, tf.cast(corners, tf.float32)), 0, 1)


@functools.cache
def compiled(name, norm):
    """The logits' bounds and those of their differences, traced once."""
    network = NETWORKS[name]

    @tf.function
    def bounds(x, y, epsilon):
        of_logits = logit_bounds(network, x, Ball(norm, epsilon))
        return *of_logits, margin_bounds(network, x, y, Ball(norm, epsilon))

    return bounds


@every_network
@hypothesis.settings(max_examples=12)
@hypothesis.given(
    norm=st.sampled_from(norms.NAMES), size=st.floats(0, 1, width=32), seed=st.integers(0, 2**20)
)
def test_bounds_hold_all_outputs(name, norm, size, seed):
    # Radii at which the three norms reach equally far, about.
    epsilon = size * {"linf": 0.2, "l2": 1.5, "l1": 15}[norm]
    x = bounded_networks.inputs(64, seed)
    y = tf.constant(np.random.default_rng(seed).integers(4, size=64))
    low, high, margins = compiled(name, norm)(x, y, tf.constant(epsilon, tf.float32))
    logits = NETWORKS[name](points(x, norm, epsilon, seed), training=False)
    rounding = 1e-5 * (1 + np.abs(logits).max())
    assert np.all(low - rounding <= logits) and np.all(logits <= high + rounding)
    gaps = (tf.gather(logits, y, batch_dims=1)[:, None] - logits).numpy()
    gaps[np.arange(64), y] = np.inf
    assert np.all(margins <= gaps + rounding)
    assert np.all(np.std(logits, axis=0) > 1e-3)  # else there would be nothing to hold


@every_network
def test_epsilon_0_gives_the_logits(name):
    network, x = NETWORKS[name], bounded_networks.inputs(32)
    y = tf.argmax(network(x), axis=1)
    logits = network(x).numpy()
    for norm in norms.NAMES:
        low, high, margins = (part.numpy() for part in compiled(name, norm)(x, y, tf.zeros([])))
        np.testing.assert_allclose(low, logits, atol=1e-5)
        np.testing.assert_allclose(high, logits, atol=1e-5)
        assert np.all(np.isinf(margins[np.arange(32), y]))
        expected = np.sort(logits.max(axis=1, keepdims=True) - logits, axis=1)[:, 1:]
        np.testing.assert_allclose(np.sort(margins, axis=1)[:, :-1], expected, atol=1e-5)


@every_network
def test_bounds_of_the_differences_are_tighter(name):
    network, x = NETWORKS[name], bounded_networks.inputs(32)
    y = tf.argmax(network(x), axis=1)
    low, high = logit_bounds(network, x, Ball("linf", 0.05))
    plain = tf.gather(low, y, batch_dims=1)[:, None] - high
    margins = margin_bounds(network, x, y, Ball("linf", 0.05))
    other = np.isfinite(margins)
    assert np.all(margins[other] >= plain[other] - 1e-5)
    assert np.any(margins[other] > plain[other] + 1e-4) == (name != "pooled")


@pytest.mark.parametrize("norm, dual", [("linf", 1), ("l2", 2), ("l1", np.inf)])
@pytest.mark.parametrize("scaled", [False, True])
def test_linear_models_are_certified_exactly(norm, dual, scaled):
    """Up to the distance of the nearest boundary, and no further."""
    network = model(5, scaled=scaled)
    data = split(network, 5)
    right = np.argmax(network(data.images), axis=1) == data.labels
    exact = distances(network, data.images, dual)
    for epsilon in np.quantile(exact, [0.1, 0.5, 0.9]):
        found = certified_accuracy(network, data, ball=Ball(norm, float(epsilon), -1e3, 1e3))
        assert found == pytest.approx(np.mean(right & (exact > epsilon)), abs=1.5 / data.size)


def test_one_output_is_as_two():
    keras.utils.set_random_seed(0)
    one = bounded_networks.binary()
    keras.utils.set_random_seed(0)
    two, x = bounded_networks.two_columns(), bounded_networks.inputs(16)
    y = tf.argmax(two(x), axis=1)
    found, expected = (margin_bounds(model, x, y, Ball("linf", 0.02)) for model in (one, two))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_clip_range_counts():
    """Where an input cannot move, its bounds do not: white images in linf."""
    network = model(3)
    white = tf.ones([4, 4, 4, 1])
    low, high = logit_bounds(network, white, Ball("linf", 0.2))
    wide_low, wide_high = logit_bounds(network, white, Ball("linf", 0.2, high=2.0))
    np.testing.assert_allclose(high - low, 0.5 * (wide_high - wide_low), rtol=1e-5)


@pytest.fixture(scope="module")
def robust(digits):
    """A convolutional network that small changes cannot fool, as it was trained on its bounds."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10),
        ]
    )
    optimizer = keras.optimizers.Adam(3e-3)

    @tf.function
    def step(x, y, epsilon):
        with tf.GradientTape() as tape:
            worst = tf.where(
                tf.one_hot(y, 10, on_value=True, off_value=False),
                0.0,
                -margin_bounds(network, x, y, Ball("linf", epsilon)),
            )
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=worst)
        gradients = tape.gradient(losses, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    number = 0
    for _ in range(15):
        for x, y in digits[0]:
            step(x, y, tf.minimum(number / 300, 1.0) * 0.08)
            number += 1
    return network


EPSILONS = (0.0, 0.01, 0.02, 0.05, 0.1)


@pytest.mark.parametrize("name", ["trained", "robust"])
def test_certified_attacked_and_clean_accuracy(name, request, digits):
    """Certified <= under PGD <= clean, and certified falls as epsilon grows."""
    network = request.getfixturevalue(name)
    attacks = {
        str(e): PGD(epsilon=e, step_size=e / 4 or 0.1, steps=20, random_start=True)
        for e in EPSILONS
        if e
    }
    found = Evaluator(network, attacks)(digits[2])
    attacked = [found["clean_accuracy"], *found["robust_accuracy"].values()]
    certified = [certified_accuracy(network, digits[2], e) for e in EPSILONS]
    assert certified[0] == attacked[0]
    assert certified == sorted(certified, reverse=True)
    assert all(c <= a for c, a in zip(certified, attacked, strict=True))
    if name == "robust":
        # Trained for it, the bracket is narrow, and not empty at either end.
        assert certified[3] > 0.5 and attacked[3] - certified[3] < 0.2


def test_examples_that_are_certified_stand(robust, digits):
    """One by one, under several attacks."""
    x, y = digits[2].gather(tf.range(360, dtype=tf.int64))
    for epsilon in (0.02, 0.05, 0.1):
        safe = tf.reduce_all(margin_bounds(robust, x, y, Ball("linf", epsilon)) > 0, axis=1)
        for attack in (
            FGSM(epsilon=epsilon),
            PGD(epsilon=epsilon, step_size=epsilon / 4, steps=20, random_start=True, restarts=3),
        ):
            stands = tf.argmax(robust(attack(robust, x, y)), axis=1) == y
            assert np.all(stands[safe])
        assert 20 < np.sum(safe) < 360


def test_masked_layers_are_those_inside():
    dense = models.mlp((8, 8, 2), 4, hidden=(20, 15))
    sparse = sparsity.sparsify(dense, sparsity.Magnitude(0.3))
    x, ball = bounded_networks.inputs(8), Ball("linf", 0.1)
    for one, other in zip(
        logit_bounds(sparse, x, ball), logit_bounds(sparsity.strip(sparse), x, ball), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_split_of_any_size(digits):
    """Neither the batch nor its remainder changes the figure."""
    network = models.mlp((8, 8, 1), hidden=(20,))
    x, y = digits[0].gather(tf.range(250, dtype=tf.int64))
    expected = np.mean(np.all(margin_bounds(network, x, y, Ball("linf", 0.001)) > 0, axis=1))
    data = Split(x.numpy(), y.numpy(), num_classes=10, batch_size=7)
    assert certified_accuracy(network, data, 0.001, batch_size=40) == expected


@pytest.mark.parametrize(
    "layer, words",
    [
        (layers.LayerNormalization(name="strange"), "layer strange: LayerNormalization is not"),
        (layers.Activation("swish", name="odd"), "layer odd: activation swish is not supported"),
        (layers.Dense(3, activation="softmax", name="out"), "layer out: activation softmax is not"),
        (layers.Softmax(name="end"), "layer end: Softmax is not supported"),
    ],
)
def test_unsupported_layers_are_named(layer, words):
    network = keras.Sequential([layers.Input((3,)), layers.Dense(3), layer])
    with pytest.raises(InputError, match=words):
        logit_bounds(network, tf.zeros([1, 3]), Ball("linf", 0.1))


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(model=lambda x: x), "model of type builtins.function: must be a tf_keras model"),
        (dict(model=keras.Sequential([layers.Dense(2)])), "must be built"),
    ],
)
def test_refuses(change, words):
    arguments = (
        dict(model=NETWORKS["mlp"], x=bounded_networks.inputs(1), ball=Ball("linf", 0.1)) | change
    )
    with pytest.raises(InputError, match=words):
        logit_bounds(**arguments)
