import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models


@pytest.mark.parametrize(
    "input_shape, num_classes, weights",
    [((28, 28, 1), 10, 3_274_634), ((8, 8, 1), 10, 325_514), ((9, 9, 3), 7, 651_719)],
)
def test_madry_mnist_cnn(input_shape, num_classes, weights):
    model = models.madry_mnist_cnn(input_shape, num_classes)
    assert model.output_shape == (None, num_classes)
    assert model.count_params() == weights


def test_layers_and_first_weights():
    keras.utils.set_random_seed(0)
    model = models.madry_mnist_cnn()
    shapes = {layer.name: layer.output_shape[1:] for layer in model.layers}
    assert shapes == {
        "conv_1": (28, 28, 32),
        "pool_1": (14, 14, 32),
        "conv_2": (14, 14, 64),
        "pool_2": (7, 7, 64),
        "flatten": (3136,),
        "hidden_1": (1024,),
        "logits": (10,),
    }
    for name in ("conv_1", "conv_2", "hidden_1"):
        assert model.get_layer(name).activation.__name__ == "relu"
    kernel, bias = model.get_layer("hidden_1").get_weights()
    assert np.abs(kernel).max() <= 0.2
    # A normal distribution cut at two deviations keeps 0.88 of its deviation.
    np.testing.assert_allclose(kernel.std(), 0.088, atol=1e-3)
    np.testing.assert_array_equal(bias, np.full(1024, 0.1, np.float32))
