"""What holds for every architecture."""

import inspect

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify, strip
from robust_sparse_tf.models import resnet
from robust_sparse_tf.sparsity import densities
from robust_sparse_tf.training import AdversarialModel

SHAPE = (28, 28, 3)
# More of the blocks of another one; test_resnet.py and test_vgg.py look at how many.
DEEPER = {"resnet32", "resnet34", "vgg16"}
# The same with all their blocks; fast are those of two in the first stage and one in the others.
WHOLE = {"resnet18", "resnet20", "resnet50"}
NORMALIZED = ["linear", "lenet5", "resnet20"]
CLASSES = dict.fromkeys(models.BY_NAME, 7) | {"binary_linear": 2, "binary_cnn": 2}


def build(name: str, whole: bool = False, **options) -> keras.Model:
    """A model for some classes, narrow where it has a width, and with few residual blocks."""
    keras.utils.set_random_seed(0)
    builder, make = models.BY_NAME[name], resnet._resnet
    if "width" in inspect.signature(builder).parameters:
        options.setdefault("width", 0.1)

    def short(name, inputs, classes, width, channels, blocks, block):
        return make(name, inputs, classes, width, channels, (2, *[1] * len(blocks[1:])), block)

    with pytest.MonkeyPatch.context() as patch:
        if not whole:
            patch.setattr(resnet, "_resnet", short)
        return builder(SHAPE, CLASSES[name], **options)


@pytest.fixture(
    scope="module",
    params=[
        *(name for name in models.BY_NAME if name not in DEEPER),
        *(pytest.param(f"whole {name}", marks=pytest.mark.slow) for name in sorted(DEEPER | WHOLE)),
    ],
)
def model(request) -> keras.Model:
    """A model of each architecture. Not to be changed by a test."""
    return build(request.param.split()[-1], whole=request.param.startswith("whole"))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).random((2, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def outputs(model, x) -> np.ndarray:
    return model(x).numpy()


def test_all_models_are_exported():
    assert set(models.BY_NAME) < set(models.__all__)
    for name, builder in models.BY_NAME.items():
        assert builder is getattr(models, name)
        assert builder.__name__ == name


def test_takes_shape_and_classes_by_position(model):
    assert model.input_shape == (None, *SHAPE)
    assert model.output_shape == (None, CLASSES[model.name])
    assert model.name in models.BY_NAME


def test_returns_logits(model, outputs):
    """The last layer has no activation, and its outputs are no probabilities."""
    last = model.layers[-1]
    assert last.name == "logits"
    assert getattr(last, "activation", None) in (None, keras.activations.linear)
    assert outputs.shape == (2, CLASSES[model.name])
    assert np.isfinite(outputs).all()
    assert not np.allclose(outputs.sum(-1), 1)


def test_layers_are_ordinary(model):
    """No raw operations of TensorFlow, which would become layers that tfmot and TFLite dislike."""
    modules = {type(layer).__module__.split(".")[0] for layer in model.layers}
    assert modules <= {"tf_keras", "robust_sparse_tf"}
    assert not any("OpLambda" in type(layer).__name__ for layer in model.layers)


def test_names_are_unique(model):
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert all("/" not in name and name.islower() for name in weighted)


@pytest.mark.parametrize("name", models.BY_NAME)
def test_passes_mean_and_std_on(name, monkeypatch):
    """To the layers in front, before it makes any other."""
    given = []

    def normalized_input(input_shape, mean, std, **_) -> None:
        given.extend([input_shape, mean, std])
        raise StopIteration

    builder = models.BY_NAME[name]
    monkeypatch.setattr(inspect.getmodule(builder), "normalized_input", normalized_input)
    with pytest.raises(StopIteration):
        builder(SHAPE, CLASSES[name], mean=0.5, std=0.25)
    assert given == [SHAPE, 0.5, 0.25]


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalize_is_what_one_does_by_hand(name, x):
    plain, normalized = build(name), build(name, mean=models.CIFAR10_MEAN, std=models.CIFAR10_STD)
    assert "normalize" in [layer.name for layer in normalized.layers[:2]]
    assert "normalize" not in [layer.name for layer in plain.layers]
    weighted = [[layer.name for layer in m.layers if layer.weights] for m in (plain, normalized)]
    assert weighted[0] == weighted[1]
    by_hand = (x - np.float32(models.CIFAR10_MEAN)) / np.float32(models.CIFAR10_STD)
    # The weights are equal, as both models began with one seed.
    expected = normalized(x).numpy()
    np.testing.assert_allclose(expected, plain(by_hand), rtol=1e-4, atol=1e-4)
    assert_every_kernel_gets_a_mask(normalized, expected, x)


def test_every_kernel_gets_a_mask(model, outputs, x):
    assert_every_kernel_gets_a_mask(model, outputs, x)


def assert_every_kernel_gets_a_mask(model: keras.Model, outputs: np.ndarray, x: np.ndarray) -> None:
    """The outputs, those of the model for x, are the same with masks and without them again."""
    kernels = {layer.name for layer in model.layers if hasattr(layer, "kernel")}
    sparse = sparsify(model)
    assert set(densities(sparse)[1]) == kernels
    np.testing.assert_array_equal(sparse(x), outputs)
    np.testing.assert_array_equal(strip(sparse)(x), outputs)


def test_adversarial_model_takes_it(model, outputs, x):
    np.testing.assert_array_equal(AdversarialModel(model, None)(x), outputs)


@pytest.mark.parametrize("name", ["lenet5", "madry_mnist_cnn", "resnet20"])
def test_width_multiplies_all_hidden_channels(name):
    def sizes(width: float) -> np.ndarray:
        kernels = [w for w in build(name, width=width).weights if "kernel" in w.name]
        return np.array([kernel.shape[-1] for kernel in kernels])

    wide, narrow = sizes(0.5), sizes(0.25)
    assert wide[-1] == narrow[-1] == 7
    np.testing.assert_allclose(wide[:-1] / narrow[:-1], 2, rtol=0.1)
