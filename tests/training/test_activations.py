import adversarial_models
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import Mixed
from robust_sparse_tf.training.activations import with_activations

layers = keras.layers


def relus() -> keras.Model:
    """Three kinds of ReLU, and other activations."""
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="relu", name="a"),
            layers.Conv2D(3, 3, activation="tanh"),
            layers.ReLU(name="b"),
            layers.Flatten(),
            layers.Dense(5),
            layers.Activation("relu", name="c"),
            layers.Dense(4),
        ]
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_with_activations(sparse):
    network = sparsify(relus()) if sparse else relus()
    both, names = with_activations(network)
    assert names == ["a", "b", "c"]
    x = np.random.default_rng(0).random((6, 8, 8, 1), np.float32)
    logits, first, second, third = both(x)
    np.testing.assert_array_equal(logits, network(x))
    for value, shape in ((first, (6, 6, 6, 3)), (second, (6, 4, 4, 3)), (third, (6, 5))):
        assert value.shape == shape and 0 < np.mean(value.numpy() == 0) < 1
        assert np.all(value.numpy() >= 0)
    (a,) = [layer for layer in network.layers if getattr(layer, "layer", layer).name == "a"]
    np.testing.assert_array_equal(a(x), first)


@pytest.mark.parametrize("make", [models.linear, models.binary_linear])
def test_linear_models_have_none(make):
    with pytest.raises(InputError, match="^model .*linear: has no layer with a ReLU$"):
        with_activations(make())


@pytest.mark.parametrize(
    "attack, sparse",
    [("natural", False), ("pgd", True)]
    + [pytest.param(*pair, marks=pytest.mark.slow) for pair in (("natural", True), ("pgd", False))],
)
def test_l1_is_part_of_the_gradient(attack, sparse, digits):
    """A step of SGD goes along the gradient of the loss that one would write by hand."""
    weight = 0.02
    network = models.mlp((8, 8, 1), hidden=(12, 9))
    network = sparsify(network) if sparse else network
    made = adversarial_models.ATTACKS[attack]
    objective = Mixed(activity_l1=weight)
    sgd = keras.optimizers.SGD(1.0)
    model = adversarial_models.robust(network, made, objective, optimizer=sgd, branches=2)
    x, y = digits[0].gather(tf.range(20, dtype=tf.int64))
    both, _ = with_activations(network)
    inputs = [x] if made is None else [x, made(network, x, y)]
    variables = network.trainable_variables
    with tf.GradientTape() as tape:
        total = 0.0
        for each in inputs:
            logits, *activations = both(each)
            loss = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
            costs = [tf.reduce_sum(value, axis=1) for value in activations]
            total += tf.reduce_mean(loss + weight * tf.add_n(costs)) / len(inputs)
    before = [variable.numpy() for variable in variables]
    expected = tape.gradient(total, variables)
    model.fit(tf.data.Dataset.from_tensors((x, y)), verbose=0)
    for old, variable, gradient in zip(before, variables, expected, strict=True):
        np.testing.assert_allclose(variable, old - gradient, rtol=1e-4, atol=1e-5)


def test_l1_silences_units(digits):
    """Many more zeros, of a network that still learns."""
    silent = []
    for weight in (0.0, 0.01):
        keras.utils.set_random_seed(0)
        network = models.mlp((8, 8, 1), hidden=(40,))
        adam = keras.optimizers.Adam(0.005)
        model = adversarial_models.robust(network, None, Mixed(activity_l1=weight), optimizer=adam)
        model.compile(adam, metrics=["accuracy"], steps_per_execution=38)  # an epoch
        history = model.fit(digits[0], epochs=5, verbose=0).history
        _, hidden = with_activations(network)[0](digits[2].images)
        silent.append(np.mean(hidden.numpy() == 0))
        assert history["accuracy"][-1] > 0.85
    assert silent[1] > silent[0] + 0.1
