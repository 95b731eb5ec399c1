import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.layers import ParameterFreeShortcut
from robust_sparse_tf.models.parts import scaled


def images(channels: int) -> np.ndarray:
    return np.random.default_rng(0).random((4, 8, 8, channels), np.float32)


@pytest.mark.parametrize(
    "units, width, result", [(16, 1.0, 16), (16, 2, 32), (100, 0.333, 33), (16, 0.01, 1)]
)
def test_scaled(units, width, result):
    assert scaled(units, width) == result


@pytest.mark.parametrize(
    "mean, std",
    [
        (models.CIFAR10_MEAN, models.CIFAR10_STD),
        (np.array(models.CIFAR10_MEAN), 0.25),
        (0.5, None),
        (None, [0.1, 0.2, 0.3]),
    ],
)
def test_normalization_is_the_one_by_hand(mean, std):
    plain = models.linear((8, 8, 3))
    model = models.linear((8, 8, 3), mean=mean, std=std)
    assert model.layers[0].name == "normalize"
    model.set_weights(plain.get_weights())
    x = images(3)
    by_hand = (x - np.float32(0 if mean is None else mean)) / np.float32(1 if std is None else std)
    np.testing.assert_allclose(model(x), plain(by_hand), atol=1e-5)


def test_constants_are_of_three_channels():
    assert len(models.CIFAR10_MEAN) == len(models.CIFAR10_STD) == 3


@pytest.mark.parametrize("strides, filters, size", [(1, 5, 8), (2, 3, 8), (2, 7, 7), (3, 4, 8)])
def test_parameter_free_shortcut_by_hand(strides, filters, size):
    x = images(3)[:, :size, :size]
    expected = np.zeros((4, -(-size // strides), -(-size // strides), filters), np.float32)
    expected[..., :3] = x[:, ::strides, ::strides]
    layer = ParameterFreeShortcut(filters, strides)
    np.testing.assert_array_equal(layer(x), expected)
    assert layer.weights == []


def test_parameter_free_shortcut_round_trip():
    layer = ParameterFreeShortcut(8, 2, name="shortcut")
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is ParameterFreeShortcut
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_shape": (28, 28)}, "input_shape=(28, 28): must be three whole numbers above 0"),
        ({"input_shape": (0, 28, 1)}, "input_shape=(0, 28, 1): must be three"),
        ({"input_shape": (28, 28, None)}, "input_shape=(28, 28, None): must be three"),
        ({"input_shape": (28.5, 28, 1)}, "input_shape=(28.5, 28, 1): must be three"),
        ({"num_classes": 1}, "num_classes=1: must be at least 2"),
        ({"num_classes": 2.5}, "num_classes=2.5: must be at least 2 and a whole number"),
        ({"width": 0}, "width=0: must be above 0"),
        ({"width": -1.0}, "width=-1.0: must be"),
        ({"width": float("nan")}, "width=nan: must be"),
        ({"width": float("inf")}, "width=inf: must be"),
        ({"width": "half"}, "width='half': must be above 0 and a finite number"),
        ({"std": 0}, "std=0: must be above 0"),
        ({"std": [-0.5]}, "std=[-0.5]: must be above 0"),
        ({"std": [0.5, 0.5]}, "std=[0.5, 0.5]: must be a finite number or one for each of 1"),
        ({"mean": float("nan")}, "mean=nan: must be a finite number"),
        ({"mean": (0.1, 0.2, 0.3)}, "mean=(0.1, 0.2, 0.3): must be a finite number or one"),
    ],
)
def test_bad_arguments(arguments, message):
    for build in (models.lenet_300_100, models.madry_mnist_cnn, models.resnet20):
        with pytest.raises(InputError) as caught:
            build(**{"input_shape": (28, 28, 1), **arguments})
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
