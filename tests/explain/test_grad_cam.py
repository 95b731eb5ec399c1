"""Grad-CAM by hand on small networks, and what it accepts."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.explain import grad_cam

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 8, 6, 2), np.float32)
LABELS = np.array([2, 0, 1])


def linear_network() -> keras.Sequential:
    """A convolution, the mean over all places and a dense layer, without activations."""
    return keras.Sequential(
        [
            keras.layers.Input((8, 6, 2)),
            keras.layers.Conv2D(4, 3, padding="same", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def network(convolutions: int = 2) -> keras.Model:
    inputs = keras.Input((8, 6, 2))
    x = inputs
    for number in range(1, convolutions + 1):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"conv_{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    x = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def by_hand(features, weights) -> np.ndarray:
    """The map from features [n, h, w, k] and the mean gradients [n, k], at the images' size."""
    small = np.maximum(0, (features * weights[:, None, None]).sum(-1))
    return tf.image.resize(small[..., None], (8, 6))[..., 0].numpy()


def test_linear_network_in_closed_form():
    """The logit is sum_k w_k mean(A^k), so that each gradient is w_k / 48."""
    model = linear_network()
    kernel = model.get_layer("logits").kernel.numpy()
    features = model.get_layer("conv")(IMAGES).numpy()
    expected = by_hand(features, kernel[:, LABELS].T / 48)
    found = grad_cam(model, IMAGES, LABELS)
    assert found.shape == (3, 8, 6) and found.dtype == np.float32
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_places_by_hand():
    """A 1 x 1 convolution to two channels on two pixels; logits x0 + 2 x1 - x2 and its opposite."""
    model = keras.Sequential(
        [
            keras.layers.Input((1, 2, 1)),
            keras.layers.Conv2D(2, 1, use_bias=False, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    head = np.array([1.0, 2.0, -1.0, 4.0])  # channels 0, 1 of the first place, then of the second
    model.set_weights([np.array([[[[1.0, -1.0]]]]), np.stack([head, -head], axis=1)])
    x = np.array([[[[3.0], [-5.0]]]])  # features (3, 0) and (0, 5)
    # Mean gradients: channel 0: (1 - 1) / 2; channel 1: (2 + 4) / 2.
    np.testing.assert_allclose(grad_cam(model, x, [0]), [[[0, 15]]], rtol=1e-6)
    np.testing.assert_allclose(grad_cam(model, x, [1]), [[[0, 0]]])


@pytest.mark.parametrize("name", ["conv_1", "norm_2", "relu_1", None])
def test_layers_by_name(name):
    model = network()
    chosen = model.get_layer(name or "conv_2")
    both = keras.Model(model.inputs, [chosen.output, model.output])
    with tf.GradientTape() as tape:
        features, logits = both(IMAGES)
        score = tf.gather(logits, LABELS, batch_dims=1)
    weights = tape.gradient(score, features).numpy().mean(axis=(1, 2))
    expected = by_hand(features.numpy(), weights)
    np.testing.assert_allclose(grad_cam(model, IMAGES, LABELS, name), expected, atol=1e-6)


def test_models_of_all_kinds_have_the_same_maps():
    """Plain, sparse, adversarial, nested and subclassed."""
    plain = network()
    expected = grad_cam(plain, IMAGES, LABELS)
    inputs = keras.Input((8, 6, 2))
    nested = keras.Model(inputs, keras.layers.Activation("linear")(plain(inputs)))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = plain

        def call(self, x, training=None):
            return self.inner(x, training=training)

    own = Own()
    own.build((None, 8, 6, 2))
    own.compute_output_shape((None, 8, 6, 2))
    for model in (nested, rst.AdversarialModel(plain), own):
        np.testing.assert_array_equal(grad_cam(model, IMAGES, LABELS), expected)
        np.testing.assert_array_equal(grad_cam(model, IMAGES, LABELS, "conv_2"), expected)
    sparse = rst.sparsify(plain, rst.sparsity.Static(density=1.0))
    for model in (sparse, rst.AdversarialModel(sparse), rst.strip(sparse)):
        np.testing.assert_array_equal(grad_cam(model, IMAGES, LABELS), expected)
        np.testing.assert_array_equal(grad_cam(model, IMAGES, LABELS, "conv_2"), expected)


def test_many_images_are_explained_in_batches():
    images = np.tile(IMAGES, (40, 1, 1, 1))
    model = network()
    found = grad_cam(model, images, np.tile(LABELS, 40))
    expected = np.tile(grad_cam(model, IMAGES, LABELS), (40, 1, 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_random_layers_are_off_and_the_model_is_as_before():
    model = keras.Sequential([*network().layers[:-1], keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(3))
    weights = model.get_weights()
    before = {layer.name: dict(vars(layer)) for layer in model.layers}
    first, second = (grad_cam(model, IMAGES, LABELS) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_equal(model.get_weights(), weights)
    assert all("call" not in vars(layer) for layer in model.layers)
    assert {name: set(own) for name, own in before.items()} == {
        layer.name: set(vars(layer)) for layer in model.layers
    }


def test_noise_on_weights_is_off():
    plain = network()
    noisy = rst.AdversarialModel(rst.sparsify(rst.training.with_noise(plain)))
    expected = grad_cam(plain, IMAGES, LABELS, "conv_1")
    np.testing.assert_array_equal(grad_cam(noisy, IMAGES, LABELS, "conv_1"), expected)


def test_a_failed_call_leaves_the_model_as_before(monkeypatch):
    model = network()
    monkeypatch.setattr(model, "call", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grad_cam(model, IMAGES, LABELS)
    assert all("call" not in vars(layer) for layer in model.layers)


def dense() -> keras.Model:
    return rst.models.mlp((8, 6, 2), 3, hidden=(4,))


@pytest.mark.parametrize(
    ("make", "given", "words"),
    [
        (dense, {}, "model mlp: has no convolution"),
        (network, dict(layer="conv_9"), "layer=conv_9: must be one of .*conv_1, .*logits"),
        (network, dict(layer="logits"), r"layer=logits: returns \(3, 3\); must be \[batch, height"),
        (network, dict(layer=1), "layer=1: must be a string"),
        (network, dict(labels=[0, 1, 3]), "labels from 0 to 3: must be in 0 to 2"),
        (network, dict(labels=[-1, 1, 2]), "labels from -1 to 2: must be in 0 to 2"),
        (network, dict(labels=[0, 1]), "must be \\[n, ...\\] and \\[n\\]"),
        (network, dict(labels=[0.5, 1, 1]), "labels of type float.*: must be integers"),
        (network, dict(images=IMAGES[:, :4]), r"images of shape \(3, 4, 6, 2\): must be"),
        (network, dict(images=IMAGES * np.nan), "hold NaN"),
        (network, dict(images="x"), "images of type str"),
        (lambda: len, {}, "must be a tf_keras model"),
    ],
)
def test_bad_input(make, given, words):
    arguments = dict(images=IMAGES, labels=LABELS) | given
    with pytest.raises(InputError, match=words) as caught:
        grad_cam(make(), **arguments)
    assert len(str(caught.value).splitlines()) == 1


def test_names_must_be_unique():
    inner = network(1)
    inputs = keras.Input((8, 6, 2))
    x = keras.layers.Conv2D(2, 1, name="conv_1")(inputs)
    model = keras.Model(inputs, inner(x))
    with pytest.raises(InputError, match="layer=conv_1: 2 layers have this name"):
        grad_cam(model, IMAGES, LABELS, "conv_1")
    assert grad_cam(model, IMAGES, LABELS).shape == (3, 8, 6)
