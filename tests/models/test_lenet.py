import numpy as np
import pytest

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError


@pytest.mark.parametrize(
    "input_shape, num_classes, weights",
    [((28, 28, 1), 10, 266_200), ((8, 8, 1), 10, 50_200), ((32, 32, 3), 100, 961_600)],
)
def test_lenet_300_100(input_shape, num_classes, weights):
    model = models.lenet_300_100(input_shape, num_classes)
    assert model.output_shape == (None, num_classes)
    assert model.count_params() == weights
    assert [weight.name for weight in model.weights] == [
        "hidden_1/kernel:0",
        "hidden_2/kernel:0",
        "logits/kernel:0",
    ]


def test_lenet_300_100_by_hand():
    """Two ReLU layers and a linear one, so that the outputs are logits."""
    model = models.lenet_300_100((8, 8, 1))
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    first, second, last = model.get_weights()
    hidden = np.maximum(np.maximum(x.reshape(5, 64) @ first, 0) @ second, 0)
    np.testing.assert_allclose(model(x), hidden @ last, atol=1e-5)


@pytest.mark.parametrize(
    "options, weights",
    [({"use_bias": True}, 266_610), ({"width": 0.5}, 784 * 150 + 150 * 50 + 50 * 10)],
)
def test_lenet_300_100_options(options, weights):
    assert models.lenet_300_100(**options).count_params() == weights


@pytest.mark.parametrize(
    "input_shape, num_classes, weights",
    [((28, 28, 1), 10, 431_080), ((28, 28, 1), 7, 429_577), ((16, 16, 1), 10, 56_080)],
)
def test_lenet5(input_shape, num_classes, weights):
    model = models.lenet5(input_shape, num_classes)
    assert model.output_shape == (None, num_classes)
    assert model.count_params() == weights


def test_lenet5_is_caffes():
    """No padding, the only ReLU after the hidden layer, poolings that halve."""
    model = models.lenet5()
    shapes = {layer.name: layer.output_shape[1:] for layer in model.layers}
    assert shapes == {
        "conv_1": (24, 24, 20),
        "pool_1": (12, 12, 20),
        "conv_2": (8, 8, 50),
        "pool_2": (4, 4, 50),
        "flatten": (800,),
        "hidden_1": (500,),
        "logits": (10,),
    }
    activations = {
        layer.name: layer.activation.__name__
        for layer in model.layers
        if hasattr(layer, "activation")
    }
    assert activations == {
        "conv_1": "linear",
        "conv_2": "linear",
        "hidden_1": "relu",
        "logits": "linear",
    }


def test_lenet5_names_the_size_it_needs():
    with pytest.raises(InputError, match=r"^input_shape=\(15, 28, 1\): .* at least 16 "):
        models.lenet5((15, 28, 1))
