import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.models import resnet
from robust_sparse_tf.models.parts import normalized_input
from robust_sparse_tf.training import AdversarialModel


@pytest.fixture(scope="module")
def short() -> keras.Model:
    """Two stages of a thin block each, with statistics and shifts that matter.

    Not to be changed by a test.
    """
    keras.utils.set_random_seed(0)
    inputs = normalized_input((32, 32, 3), models.CIFAR10_MEAN, models.CIFAR10_STD)
    model = resnet._resnet("short", inputs, 10, 1.0, (16, 32), (1, 1), resnet._thin_block)
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([draw.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).random((2, 32, 32, 3), np.float32)


@pytest.mark.parametrize(
    "name, num_classes, weights, depths, filters",
    [
        ("resnet18", 10, 11_173_962, (2, 2, 2, 2), (64, 128, 256, 512)),
        ("resnet20", 10, 269_722, (3, 3, 3), (16, 32, 64)),
        ("resnet32", 10, 464_154, (5, 5, 5), (16, 32, 64)),
        ("resnet34", 100, 21_328_292, (3, 4, 6, 3), (64, 128, 256, 512)),
        ("resnet50", 10, 23_520_842, (3, 4, 6, 3), (64, 128, 256, 512)),
    ],
)
def test_weights_and_stages(name, num_classes, weights, depths, filters):
    side = 27
    model = models.BY_NAME[name]((side, side, 3), num_classes)
    assert model.output_shape == (None, num_classes)
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == weights
    biases = [layer.name for layer in model.layers if getattr(layer, "bias", None) is not None]
    assert biases == ["logits"]
    assert_stages(model, side, depths, filters)


def test_stages_of_a_narrow_network_on_small_images():
    model = models.resnet50((8, 8, 1), width=0.125)
    assert_stages(model, 8, (3, 4, 6, 3), (8, 16, 32, 64))


def assert_stages(
    model: keras.Model, side: int, depths: tuple[int, ...], filters: tuple[int, ...]
) -> None:
    """Each stage after the first halves the sides, rounded up, in its first block."""
    name = model.name
    expansion = 4 if name == "resnet50" else 1
    assert model.get_layer("stem_relu").output_shape == (None, side, side, filters[0])
    for stage, (depth, channels) in enumerate(zip(depths, filters, strict=True), 1):
        side = side if stage == 1 else -(-side // 2)
        layers = [layer for layer in model.layers if layer.name.startswith(f"stage_{stage}_")]
        sums = [layer.output_shape for layer in layers if layer.name.endswith("_add")]
        assert sums == [(None, side, side, channels * expansion)] * depth
        strided = {layer.name for layer in layers if getattr(layer, "strides", 1) in (2, (2, 2))}
        assert len(strided) == (0 if stage == 1 else 2)
        assert all(f"stage_{stage}_block_1_" in name for name in strided)
    # The number in a ResNet's name counts the layers with kernels, shortcuts left out.
    kernels = [layer.name for layer in model.layers if hasattr(layer, "kernel")]
    main = [name for name in kernels if "shortcut" not in name]
    assert len(main) == int(name.removeprefix("resnet"))


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "resnet32", "resnet34", "resnet50"])
def test_passes_its_width_on(name, monkeypatch):
    monkeypatch.setattr(resnet, "_resnet", lambda name, inputs, classes, width, *_: (name, width))
    assert models.BY_NAME[name](width=0.25) == (name, 0.25)


def convolve(x: np.ndarray, kernel: np.ndarray, strides: int) -> np.ndarray:
    """A 3x3 convolution with one pixel of zeros around."""
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("bhwcij,ijcf->bhwf", windows[:, ::strides, ::strides], kernel)


def test_option_a_block_by_hand(short, images):
    prefix = "stage_2_block_1_"
    before = short.get_layer("stage_1_block_1_relu").output
    after = short.get_layer(prefix + "relu").output
    x, found = keras.Model(short.input, [before, after])(images)
    x = np.asarray(x)

    def convolution(x: np.ndarray, number: int, strides: int) -> np.ndarray:
        (kernel,) = short.get_layer(f"{prefix}conv_{number}").get_weights()
        norm = short.get_layer(f"{prefix}norm_{number}")
        gamma, beta, mean, variance = norm.get_weights()
        return gamma * (convolve(x, kernel, strides) - mean) / np.sqrt(variance + 1e-5) + beta

    shortcut = np.zeros((2, 16, 16, 32), np.float32)
    shortcut[..., :16] = x[:, ::2, ::2]
    y = convolution(np.maximum(convolution(x, 1, strides=2), 0), 2, strides=1)
    np.testing.assert_allclose(found, np.maximum(y + shortcut, 0), rtol=1e-4, atol=1e-4)


def test_projection_shortcut_by_hand():
    keras.utils.set_random_seed(0)
    model = models.resnet18((8, 8, 1), width=0.05)
    prefix = "stage_2_block_1_"
    block = [
        model.get_layer(name).output
        for name in ("stage_1_block_2_relu", prefix + "shortcut_conv", prefix + "conv_1")
    ]
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    before, shortcut, main = map(np.asarray, keras.Model(model.input, block)(x))
    (kernel,) = model.get_layer(prefix + "shortcut_conv").get_weights()
    np.testing.assert_allclose(shortcut, before[:, ::2, ::2] @ kernel[0, 0], atol=1e-5)
    (kernel,) = model.get_layer(prefix + "conv_1").get_weights()
    np.testing.assert_allclose(main, convolve(before, kernel, 2), atol=1e-5)


def test_clone_computes_the_same(short, images):
    clone = keras.models.clone_model(short)
    clone.set_weights(short.get_weights())
    np.testing.assert_array_equal(clone(images), short(images))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_saved_model_computes_the_same(short, images, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    short.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(images), short(images))


def test_trains_with_an_attack():
    """In two stages of a block each, and one step as it is: a graph would take longer to make."""
    inputs = normalized_input((8, 8, 1), None, None)
    network = resnet._resnet("short", inputs, 4, 0.25, (16, 32), (1, 1), resnet._thin_block)
    model = AdversarialModel(network, FGSM(epsilon=0.1))
    model.compile(jit_update=False, run_eagerly=True)
    before = model.network.get_layer("stem_norm").moving_mean.numpy()
    x = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    metrics = model.train_on_batch(x, np.arange(4), return_dict=True)
    assert np.isfinite(metrics["loss"])
    assert (model.network.get_layer("stem_norm").moving_mean.numpy() != before).any()
