"""Noise on weights, against NumPy: values, gradients, draws, and networks with and without it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import RANDOM, local

from robust_sparse_tf import export, models, sparsity, training
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.procedures import CheckpointStore, Rounds
from robust_sparse_tf.training import OptimizerOptions, devices, noise
from robust_sparse_tf.training.gradients.passes import is_pure

KINDS = noise.KINDS
LAYERS = {
    "Dense": ((6,), lambda: keras.layers.Dense(4)),
    "Conv1D": ((7, 3), lambda: keras.layers.Conv1D(4, 3, strides=2)),
    "Conv2D": ((6, 6, 4), lambda: keras.layers.Conv2D(4, 3, padding="same", activation="tanh")),
    "Conv2D in groups": ((6, 6, 4), lambda: keras.layers.Conv2D(4, 3, groups=2)),
    "Conv3D": ((4, 4, 4, 2), lambda: keras.layers.Conv3D(3, 2, use_bias=False)),
    "DepthwiseConv2D": ((6, 6, 3), lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2)),
}


def small() -> keras.Model:
    """A network of convolutions, batch normalisation and a nested model."""
    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10)], name="head")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, head(x))


def one_layer(name: str, kind: str = "channel", **options) -> tuple[keras.Model, keras.Model]:
    """A network of one layer, without and with noise."""
    shape, layer = LAYERS[name]
    plain = keras.Sequential([keras.Input(shape), layer()])
    return plain, training.with_noise(plain, kind, **options)


def layer_of(model: keras.Model):
    (found,) = noise.noise_layers.of_model(model)
    return found


def kernel_of(layer) -> tf.Variable:
    return getattr(layer, layer.kernel_name)


def draws(layer, count: int = 1) -> list[np.ndarray]:
    """The standard normal numbers of a layer's next forward passes, which follow from its seed."""
    generator = tf.random.Generator.from_seed(layer.noise_seed, alg="philox")
    return [generator.normal(kernel_of(layer).shape).numpy() for _ in range(count)]


def inputs_of(model: keras.Model, count: int = 3) -> np.ndarray:
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def pruned(layer) -> np.ndarray:
    """Sets some weights of a layer to zero; returns its kernel."""
    kernel = kernel_of(layer).numpy()
    kernel[np.random.default_rng(1).random(kernel.shape) < 0.4] = 0
    kernel_of(layer).assign(kernel)
    return kernel


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_values_are_those_of_the_layer_with_the_noisy_kernel(name, kind):
    plain, noisy = one_layer(name, kind)
    layer = layer_of(noisy)
    kernel = pruned(layer)
    alpha = np.random.default_rng(2).normal(size=layer.noise_alpha.shape).astype(np.float32)
    assert np.all(layer.noise_alpha == 0.25)
    layer.noise_alpha.assign(alpha)
    (eta,) = draws(layer)
    changed = kernel + alpha * eta * kernel.std(ddof=1) * (kernel != 0)
    plain.layers[0].set_weights([changed, *plain.layers[0].get_weights()[1:]])
    x = inputs_of(plain)
    np.testing.assert_allclose(noisy(x), plain(x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_against_numpy(kind):
    """dL/dW = dL/dW~, dL/dalpha sums dL/dW~ eta, and the deviation passes no gradient on."""
    _, noisy = one_layer("Dense", kind)
    layer, x = layer_of(noisy), inputs_of(noisy)
    kernel = pruned(layer)
    eta = draws(layer)[0] * kernel.std(ddof=1) * (kernel != 0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(noisy(x) ** 2)
    of_kernel, of_alpha = tape.gradient(loss, [kernel_of(layer), layer.noise_alpha])
    expected = 2 * x.T @ (x @ (kernel + 0.25 * eta))
    np.testing.assert_allclose(of_kernel, expected, rtol=1e-4)
    axes = {"channel": 0, "layer": (0, 1), "element": ()}[kind]
    np.testing.assert_allclose(of_alpha, np.sum(expected * eta, axis=axes), rtol=1e-4, atol=1e-5)


def test_each_forward_pass_draws_anew_in_graphs_and_loops():
    _, noisy = one_layer("Dense")
    layer, x = layer_of(noisy), tf.constant(inputs_of(noisy))

    @tf.function
    def loop() -> tf.Tensor:
        found = tf.TensorArray(tf.float32, 4)
        for number in tf.range(4):
            found = found.write(number, noisy(x))
        return found.stack()

    found, kernel = loop().numpy(), kernel_of(layer).numpy()
    for outputs, eta in zip(found, draws(layer, 4), strict=True):
        expected = x.numpy() @ (kernel + 0.25 * kernel.std(ddof=1) * eta)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


def test_layers_draw_different_numbers():
    noisy = training.with_noise(keras.Sequential([keras.Input((5,)), *map(_dense, range(3))]))
    layers = list(noise.noise_layers.of_model(noisy))
    assert len({layer.noise_seed for layer in layers}) == 3
    again = training.with_noise(training.without_noise(noisy), seed=1)
    seeds = {layer.noise_seed for layer in noise.noise_layers.of_model(again)}
    assert not seeds & {layer.noise_seed for layer in layers}


def _dense(number: int) -> keras.layers.Dense:
    return keras.layers.Dense(5, name=f"dense_{number}")


def test_replicas_draw_different_numbers_and_keep_equal_states():
    strategy = devices.strategy("mirrored")
    with strategy.scope():
        noisy = training.with_noise(small())
    x = tf.ones((2, 8, 8, 1))

    @tf.function
    def both():
        return strategy.run(lambda: noisy(x))

    first, second = (each.numpy() for each in strategy.experimental_local_results(both()))
    assert np.abs(first - second).max() > 1e-4
    for layer in noise.noise_layers.of_model(noisy):
        copies = local(layer.generator.state)
        np.testing.assert_array_equal(copies[0], copies[-1])


def test_a_noisy_network_is_not_computed_in_parts(make_lenet):
    """Parts would draw different weights, and the attack's first step would see training's."""
    plain = models.lenet_300_100((8, 8, 1))
    assert is_pure(plain) and is_pure(make_lenet())
    assert not is_pure(sparsity.sparsify(training.with_noise(plain)))


def test_pruned_weights_stay_zero_and_noise_trains(digits):
    network = sparsity.sparsify(
        training.with_noise(small()), sparsity.RigL(density=0.3, update_interval=2, stop_step=8)
    )
    model = training.AdversarialModel(network, RANDOM, branches=2)
    model.compile(OptimizerOptions(optimizer="sgd", learning_rate=0.1).build())
    model.fit(digits[0], epochs=1, steps_per_epoch=6, verbose=0)
    for entry in sparsity.masked_weights(network):
        assert not np.any(entry.weight.numpy()[entry.mask.numpy() == 0])
    for layer in noise.noise_layers.of_model(network):
        assert np.any(layer.noise_alpha.numpy() != 0.25)


@pytest.mark.parametrize("penalty", ["weight_decay", "l2", "weight_l1"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_penalty_reaches_alpha(kind, penalty):
    _, noisy = one_layer("Dense", kind)
    layer = layer_of(noisy)
    optimizer = OptimizerOptions(optimizer="sgd", learning_rate=0.1, **{penalty: 0.5}).build()
    weights = [kernel_of(layer), layer.noise_alpha]
    before = weights[0].numpy()
    optimizer.apply_gradients([(tf.zeros(each.shape), each) for each in weights])
    assert np.all(weights[1] == 0.25)
    assert np.abs(weights[0].numpy() - before).max() > 0.001


@pytest.mark.parametrize("form", ["model.keras", "model.h5", "saved"])
def test_saved_and_loaded_with_its_noise(form, tmp_path):
    noisy = sparsity.sparsify(training.with_noise(small(), seed=4), sparsity.Magnitude(0.5))
    for layer in noise.noise_layers.of_model(noisy):
        layer.noise_alpha.assign(tf.random.normal(layer.noise_alpha.shape))
    noisy.save(str(tmp_path / form))
    loaded = keras.models.load_model(str(tmp_path / form))
    x = inputs_of(noisy)
    for model in (noisy, loaded):
        noise.reset_noise(model, 7)
    np.testing.assert_array_equal(noisy(x), loaded(x))
    assert np.abs(loaded(x) - loaded(x)).max() > 1e-3
    training.set_noise(loaded, at_inference=False)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), loaded.predict(x, verbose=0))
    np.testing.assert_allclose(loaded(x), training.without_noise(noisy)(x), rtol=0, atol=1e-6)


def test_without_noise_gives_the_plain_network_back():
    plain = small()
    found = training.without_noise(training.with_noise(plain))
    assert found.get_config() == plain.get_config()
    for a, b in zip(found.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    x = inputs_of(plain)
    np.testing.assert_array_equal(found(x), plain(x))


def test_noise_at_inference_is_a_choice():
    _, noisy = one_layer("Conv2D", at_inference=False)
    x = inputs_of(noisy)
    np.testing.assert_array_equal(noisy(x), noisy(x))
    assert np.abs(noisy(x, training=True) - noisy(x, training=True)).max() > 1e-3


def test_exports_are_of_the_network_without_noise(tmp_path):
    noisy = training.AdversarialModel(sparsity.sparsify(training.with_noise(small())))
    images = np.random.default_rng(0).random((20, 8, 8, 1)).astype(np.float32)
    found = export.to_formats(
        noisy, str(tmp_path), ["tflite_fp32", "packed", "saved_model"], images
    )
    assert not found.refused and len(found.written) == 3
    assert found.notes[0].startswith("noise layers are off in the files: ")
    path = str(tmp_path / "model.tflite")
    export.to_tflite(noisy, path)
    assert export.agreement(noisy, path, images) == 1


def _kept(folder, splits, stop: int) -> training.AdversarialModel:
    """Trains with noise up to an iteration, or goes on to it from the folder's checkpoint."""
    keras.utils.set_random_seed(0)
    method = sparsity.SET(density=0.5, update_interval=3)
    network = sparsity.sparsify(training.with_noise(small()), method)
    model = training.AdversarialModel(network, RANDOM, seed=3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    rounds = Rounds(rounds=1, iterations=stop, evaluate_every=2)
    rounds.run(model, splits[0], lambda: {}, store=CheckpointStore(str(folder)))
    return model


def test_resumed_training_draws_the_same_numbers(digits, tmp_path):
    whole = _kept(tmp_path / "whole", digits, 6)
    _kept(tmp_path / "parts", digits, 2)
    parts = _kept(tmp_path / "parts", digits, 6)
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(noise.noise_state(whole), noise.noise_state(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_evaluation_in_between_changes_no_number():
    _, noisy = one_layer("Dense")
    x = inputs_of(noisy)
    noise.reset_noise(noisy, 1)
    expected = noisy(x).numpy()
    noise.reset_noise(noisy, 1)
    with noise.seeded_noise(noisy, 9):
        noisy(x)
    np.testing.assert_array_equal(noisy(x), expected)


def _without_kernel() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.ReLU()], name="bare")


WRONG = {
    "bare: has no kernel": _without_kernel,
    "has noise on its weights already": lambda: training.with_noise(small()),
    "is sparse; add noise before": lambda: sparsity.sparsify(small()),
    "must be Sequential or functional": lambda: keras.Model(),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_models_get_one_line(line):
    with pytest.raises(InputError, match=line):
        training.with_noise(WRONG[line]())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"noise": "weight"}, "noise=weight: must be one of channel, layer, element"),
        ({"seed": -1}, "seed=-1"),
        ({"at_inference": 2}, "at_inference=2"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, line):
    with pytest.raises(InputError, match=line):
        training.with_noise(small(), **arguments)


def test_noise_cannot_be_switched_where_there_is_none():
    with pytest.raises(InputError, match="has no noise on its weights"):
        training.set_noise(models.lenet_300_100((8, 8, 1)), at_inference=False)


def test_layers_without_noise_are_named():
    model = keras.Sequential(
        [keras.Input((6, 2)), keras.layers.SeparableConv1D(3, 2), keras.layers.Dense(2)]
    )
    with pytest.warns(RunWarning, match=r"stay without noise: separable_conv1d\w* "):
        training.with_noise(model)
