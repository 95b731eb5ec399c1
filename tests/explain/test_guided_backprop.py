"""Guided backpropagation by hand, through every form of ReLU."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.explain import guided_backprop

RNG = np.random.default_rng(1)
IMAGES = RNG.normal(size=(5, 2, 2, 1)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1])


def relu_layer(units: int) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(units), keras.layers.ReLU()]


def activation_layer(units: int) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(units), keras.layers.Activation("relu")]


def activation_argument(units: int) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(units, activation="relu")]


def relu_of_tensorflow(units: int) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(units, activation=tf.nn.relu)]


FORMS = [relu_layer, activation_layer, activation_argument, relu_of_tensorflow]


def network(form=activation_argument) -> keras.Sequential:
    """Two hidden layers; the same weights for all forms."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Input((2, 2, 1)), keras.layers.Flatten(), *form(6), *form(5)]
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def by_hand(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same from the formula: at each ReLU, positive gradients at positive inputs only."""
    (w1, b1, w2, b2, w3, _), x = model.get_weights(), images.reshape(len(images), -1)
    h1 = x @ w1 + b1
    h2 = np.maximum(h1, 0) @ w2 + b2
    gradient = w3[:, labels].T
    gradient = np.maximum(gradient, 0) * (h2 > 0) @ w2.T
    gradient = np.maximum(gradient, 0) * (h1 > 0) @ w1.T
    return gradient.reshape(images.shape)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_relu(form):
    model = network(form)
    found = guided_backprop(model, IMAGES, LABELS)
    assert found.shape == IMAGES.shape and found.dtype == np.float32
    expected = by_hand(model, IMAGES, LABELS)
    with tf.GradientTape() as tape:
        x = tf.Variable(IMAGES)
        score = tf.gather(model(x), LABELS, batch_dims=1)
    assert np.abs(tape.gradient(score, x) - expected).max() > 1e-3, "is the plain gradient"
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_functions_in_functional_models():
    plain = network()
    dense = [layer for layer in plain.layers if isinstance(layer, keras.layers.Dense)]
    inputs = keras.Input((2, 2, 1))
    x = keras.layers.Flatten()(inputs)
    for layer in dense[:2]:
        linear = keras.layers.Dense(layer.units)
        x = tf.nn.relu(linear(x))
        linear.set_weights(layer.get_weights())
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.layers[-1].set_weights(dense[2].get_weights())
    found = guided_backprop(model, IMAGES, LABELS)
    np.testing.assert_allclose(found, by_hand(plain, IMAGES, LABELS), atol=1e-6)


def test_masked_nested_and_adversarial_models():
    plain = network()
    expected = by_hand(plain, IMAGES, LABELS)
    inputs = keras.Input((2, 2, 1))
    nested = keras.Model(inputs, keras.layers.Activation("linear")(plain(inputs)))
    sparse = rst.sparsify(nested, rst.sparsity.Static(density=1.0))
    for model in (nested, sparse, rst.AdversarialModel(sparse), rst.strip(sparse)):
        found = guided_backprop(model, IMAGES, LABELS)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_noise_on_weights_is_off():
    noisy = rst.training.with_noise(network())
    for found in (guided_backprop(noisy, IMAGES, LABELS) for _ in range(2)):
        np.testing.assert_allclose(found, by_hand(network(), IMAGES, LABELS), atol=1e-6)


def test_pruned_weights_pass_no_gradient():
    sparse = rst.sparsify(network(), rst.sparsity.Static(density=0.4))
    found = guided_backprop(sparse, IMAGES, LABELS)
    expected = by_hand(rst.strip(sparse), IMAGES, LABELS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - by_hand(network(), IMAGES, LABELS)).max() > 1e-3


def test_relu6_is_cut_at_6():
    """Three units with inputs 2, 7 and -1, and gradients 1, 1 and 1; and -1 for the other label."""
    model = keras.Sequential(
        [
            keras.layers.Input((1, 1, 3)),
            keras.layers.Flatten(),
            keras.layers.ReLU(max_value=6),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    model.set_weights([np.array([[1.0, -1.0]] * 3)])
    x = np.array([[[[2.0, 7.0, -1.0]]]])
    np.testing.assert_array_equal(guided_backprop(model, x, [0]), [[[[1, 0, 0]]]])
    np.testing.assert_array_equal(guided_backprop(model, x, [1]), [[[[0, 0, 0]]]])


def test_other_activations_pass_their_gradients():
    model = keras.Sequential(
        [keras.layers.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "tanh")]
    )
    model.add(keras.layers.Dense(3))
    x = tf.Variable(IMAGES)
    with tf.GradientTape() as tape:
        score = tf.gather(model(x), LABELS, batch_dims=1)
    found = guided_backprop(model, IMAGES, LABELS)
    np.testing.assert_allclose(found, tape.gradient(score, x), atol=1e-6)


def test_ordinary_gradients_are_as_before():
    """After an explanation, training and attacks still see the plain ReLU."""
    model = network()
    guided_backprop(model, IMAGES, LABELS)

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.gather(model(x), LABELS, batch_dims=1)
        return tape.gradient(score, x)

    plain = gradient(tf.constant(IMAGES)).numpy()
    assert np.abs(plain - by_hand(model, IMAGES, LABELS)).max() > 1e-3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(labels=[0, 1, 2, 3, 0]), "labels from 0 to 3: must be in 0 to 2"),
        (dict(labels=LABELS[:2]), "must be \\[n, ...\\] and \\[n\\]"),
        (dict(images=IMAGES[:, :1]), r"images of shape \(5, 1, 2, 1\): must be"),
        (dict(model=None), "must be a tf_keras model"),
        (dict(model=keras.Sequential([keras.layers.Dense(3)])), "must be built"),
    ],
)
def test_bad_input(given, words):
    arguments = dict(model=network(), images=IMAGES, labels=LABELS) | given
    with pytest.raises(InputError, match=words) as caught:
        guided_backprop(**arguments)
    assert len(str(caught.value).splitlines()) == 1
