import numpy as np
import pytest

from robust_sparse_tf import models


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


@pytest.mark.parametrize("name", models.BY_NAME)
def test_models_by_name_take_shape_and_classes(name):
    assert models.BY_NAME[name]((12, 12, 3), 7).output_shape == (None, 7)
