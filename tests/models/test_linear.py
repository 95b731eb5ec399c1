import numpy as np
import pytest

from robust_sparse_tf import models


@pytest.mark.parametrize(
    "input_shape, num_classes, weights",
    [((28, 28, 1), 10, 7_850), ((32, 32, 3), 100, 307_300), ((8, 8, 1), 2, 130)],
)
def test_linear(input_shape, num_classes, weights):
    model = models.linear(input_shape, num_classes)
    assert model.output_shape == (None, num_classes)
    assert model.count_params() == weights


def test_linear_by_hand():
    model = models.linear((8, 8, 1))
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    kernel, bias = model.get_weights()
    model.set_weights([kernel, bias + 0.5])
    np.testing.assert_allclose(model(x), x.reshape(5, 64) @ kernel + 0.5, atol=1e-5)
