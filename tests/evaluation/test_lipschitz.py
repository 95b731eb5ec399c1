import functools

import bounded_networks
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from linear_problem import distances, jacobian, model, split

from robust_sparse_tf.attacks import PGD, Ball, norms
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import lipschitz
from robust_sparse_tf.evaluation.lipschitz import local_lipschitz, safe_distance

pytestmark = pytest.mark.slow  # many networks, norms and radii

NAMES = [*bounded_networks.CHAINS, "ungrouped"]
NETWORKS = {name: bounded_networks.make(name) for name in NAMES}
ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
DUAL = {"linf": 1, "l2": 2, "l1": np.inf}
REACH = {"linf": 0.1, "l2": 0.7, "l1": 5}
every_norm = pytest.mark.parametrize("norm", norms.NAMES)
layers = keras.layers


@functools.cache
def compiled(name, norm):
    """The bound, and the gradient norms of all differences at given points; traced once."""
    network = NETWORKS[name]

    @tf.function
    def both(x, radius, points):
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = network(points, training=False)
        slopes = tf.reshape(tape.batch_jacobian(logits, points), [len(points), 4, -1])
        predicted = tf.argmax(network(x, training=False), axis=1)
        own = tf.gather(slopes, predicted, batch_dims=1)[:, None]
        lengths = tf.norm(own - slopes, ord=DUAL[norm], axis=2)
        return local_lipschitz(network, x, Ball(norm, radius)), lengths

    return both


@every_norm
@pytest.mark.parametrize("name", ["mlp", "masked", "ungrouped"])
@hypothesis.settings(max_examples=8)
@hypothesis.given(size=st.floats(0.0009765625, 1, width=32), seed=st.integers(0, 2**20))
def test_gradients_in_the_ball_are_not_longer(name, norm, size, seed):
    radius = size * REACH[norm]
    x = bounded_networks.inputs(16, seed)
    for part in range(4):
        noise = norms.uniform(x.shape, norm, radius, (seed, part))
        points = tf.clip_by_value(x + noise, 0, 1)
        bound, lengths = compiled(name, norm)(x, tf.constant(radius, tf.float32), points)
        assert np.all(lengths <= bound * (1 + 1e-4))
        assert np.all(np.sum(bound.numpy() == 0, axis=1) == 1)  # at the predicted class
        assert np.mean(lengths > 0) > 0.7


@every_norm
@pytest.mark.parametrize("scaled", [False, True])
def test_linear_models_are_exact(norm, scaled):
    network = model(5, scaled=scaled)
    x = split(network, 5).images[:32]
    slopes = jacobian(network).numpy()
    own = slopes[np.argmax(network(x), axis=1)]
    expected = np.linalg.norm(own[:, None] - slopes, DUAL[norm], axis=2)
    np.testing.assert_allclose(local_lipschitz(network, x, Ball(norm, 0.1)), expected, rtol=1e-4)
    exact = distances(network, x, DUAL[norm])
    found = safe_distance(network, x, Ball(norm, 1e3))
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    middle = float(np.median(exact))
    np.testing.assert_allclose(
        safe_distance(network, x, Ball(norm, middle)), np.minimum(exact, middle), rtol=1e-4
    )


def product(network, x, norm, masks):
    """The lemma's product with given masks of hidden units, by NumPy: [batch, classes]."""
    kernels = [layer.kernel.numpy() for layer in network.layers if hasattr(layer, "kernel")]
    predicted = np.argmax(network(x), axis=1)
    found = []
    for number, label in enumerate(predicted):
        before, constant = np.ones(len(kernels[0])), 1.0
        for kernel, mask in zip(kernels[:-1], masks, strict=True):
            inside = (before[:, None] * kernel * mask[number]).T
            constant *= np.linalg.norm(inside, ORDERS[norm])
            before = mask[number]
        last = kernels[-1][:, [label]] - kernels[-1]
        found.append(constant * np.linalg.norm(before[:, None] * last, DUAL[norm], axis=0))
    return np.array(found)


@every_norm
def test_inactive_units_do_not_count(norm):
    """In a small ball only the units active at x count, in a large one all: the lemma's product."""
    network, x = bounded_networks.make("mlp"), bounded_networks.inputs(16)
    hidden, outputs = [], x
    for layer in network.layers[:-1]:
        outputs = layer(outputs)
        if isinstance(layer, layers.Dense):
            hidden.append(outputs.numpy())
    at_x = [(value > 0).astype(float) for value in hidden]
    assert all(0.2 < mask.mean() < 0.8 for mask in at_x)
    found = local_lipschitz(network, x, Ball(norm, 1e-6))
    np.testing.assert_allclose(found, product(network, x, norm, at_x), rtol=1e-4)
    full = product(network, x, norm, [np.ones_like(mask) for mask in at_x])
    wide = local_lipschitz(network, x, Ball(norm, 1e3, -1e3, 1e3))
    np.testing.assert_allclose(wide, full, rtol=1e-4)
    assert np.all(found <= full * (1 + 1e-5))
    assert np.mean(found) < 0.9 * np.mean(full)


@every_norm
def test_one_output_is_as_two(norm):
    keras.utils.set_random_seed(0)
    one = bounded_networks.binary()
    keras.utils.set_random_seed(0)
    two, x = bounded_networks.two_columns(), bounded_networks.inputs(16)
    found, expected = (local_lipschitz(model, x, Ball(norm, 0.1)) for model in (one, two))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.all(np.max(found, axis=1) > 0)


@every_norm
def test_grows_with_the_radius(norm):
    network, x = NETWORKS["convolutional"], bounded_networks.inputs(16)
    means = [np.mean(local_lipschitz(network, x, Ball(norm, r))) for r in (1e-4, 0.01, 0.1, 1.0)]
    assert means == sorted(means) and means[0] < means[-1]


@every_norm
@pytest.mark.parametrize(
    "layer, exact",
    [
        (layers.Conv2D(3, 3), True),
        (layers.Conv2D(4, 3, 2, padding="same", groups=2), True),
        (layers.Conv2D(3, 2, dilation_rate=2), True),
        (layers.Dense(5), True),
        (layers.AveragePooling2D(2), True),
        (layers.AveragePooling2D(3, 1, padding="same"), True),
        (layers.GlobalAveragePooling2D(), True),
        (layers.MaxPooling2D(3, 2), False),
        (layers.GlobalMaxPooling2D(), False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_norms_of_layers(layer, exact, norm):
    """Against the matrix of the layer at random points, with some inputs and outputs left out."""
    shape = (5, 5, 2)
    if isinstance(layer, layers.Dense):
        shape = (50,)
    layer.build((None, *shape))
    rng = np.random.default_rng(0)
    active = tf.constant(rng.random((1, *shape)) < 0.7, tf.float32)
    rows = layer(active)
    out = tf.ones_like(rows)
    if hasattr(layer, "kernel"):
        out = tf.constant(rng.random(rows.shape) < 0.7, tf.float32)
        bound = lipschitz._affine_norm(layer, active, out, norm)[0]
    else:
        bound = lipschitz._pooling_norm(layer, active, norm)[0]
    longest = 0.0
    for _ in range(1 if exact else 20):
        if exact:  # is linear
            units = tf.reshape(tf.eye(tf.size(active)), [-1, *shape])
            matrix = tf.transpose(tf.reshape(layer(units * active) * out, [len(units), -1]))
        else:
            x = tf.constant(rng.random((1, *shape)), tf.float32)
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(x)
                y = layer(x * active) * out
            jacobian = tape.jacobian(y, x, experimental_use_pfor=False)
            matrix = tf.reshape(jacobian, [tf.size(y), -1])
        longest = max(longest, np.linalg.norm(matrix, ORDERS[norm]))
    assert longest <= bound * (1 + 1e-5)
    if norm != "l2" and exact or isinstance(layer, layers.Dense):
        assert longest == pytest.approx(float(bound), rel=1e-5)
    else:
        assert bound <= 3 * longest


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_fools_within_the_safe_distance(norm, trained, digits):
    """PGD at nine tenths of it, for each example; and it is not next to nothing."""
    x, y = digits[2].gather(tf.range(100, dtype=tf.int64))
    network = trained.network
    predicted = tf.argmax(network(x), axis=1)
    safe = safe_distance(trained, x, Ball(norm, {"linf": 0.05, "l2": 0.5}[norm])).numpy()
    assert np.all(safe > 0) and np.median(safe) > {"linf": 1e-3, "l2": 0.01}[norm]
    for quantile in (0.1, 0.5, 0.9):
        epsilon = float(np.quantile(safe, quantile))
        attack = PGD(epsilon=epsilon, norm=norm, step_size=epsilon / 4, steps=20)
        stands = tf.argmax(network(attack(network, x, predicted)), axis=1) == predicted
        assert np.all(stands[safe > epsilon / 0.9])


@pytest.mark.parametrize(
    "network, words",
    [
        (lambda: bounded_networks.make("residual"), "not supported by lemma 3.1|form a chain"),
        (lambda: bounded_networks.make("pooled"), "the last layer must be dense and linear"),
        (
            lambda: keras.Sequential(
                [layers.Input((3,)), layers.Dense(3, activation="tanh", name="t"), layers.Dense(2)]
            ),
            "layer t: activation tanh is not supported by lemma 3.1",
        ),
        (
            lambda: keras.Sequential(
                [layers.Input((3,)), layers.ReLU(negative_slope=0.1, name="r"), layers.Dense(2)]
            ),
            "layer r: ReLU is not supported by lemma 3.1",
        ),
    ],
)
def test_refuses_networks(network, words):
    made = network()
    with pytest.raises(InputError, match=words):
        local_lipschitz(made, tf.zeros([1, *made.input_shape[1:]]), Ball("l2", 0.1))
