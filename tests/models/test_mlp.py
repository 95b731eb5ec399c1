import numpy as np
import pytest

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError


@pytest.mark.parametrize(
    "options, weights",
    [
        ({}, 266_610),
        ({"use_bias": False}, 266_200),
        ({"hidden": [32]}, 784 * 32 + 32 + 32 * 10 + 10),
        ({"hidden": (20, 20, 20), "width": 0.5}, 784 * 10 + 2 * 100 + 3 * 10 + 10 * 10 + 10),
    ],
)
def test_mlp(options, weights):
    model = models.mlp(**options)
    assert model.output_shape == (None, 10)
    assert model.count_params() == weights


@pytest.mark.parametrize(
    "options, weights",
    [
        ({}, 276_710),
        ({"use_bias": False}, 784 * 300 + 300 * 100 + 100 * 100 + 100 * 10),
        ({"width": 0.1}, 784 * 30 + 30 + 30 * 10 + 10 + 10 * 10 + 10 + 10 * 10 + 10),
    ],
)
def test_mlp_300_100_100(options, weights):
    assert models.mlp_300_100_100(**options).count_params() == weights


def test_mlp_by_hand():
    model = models.mlp((8, 8, 1), hidden=(12,))
    x = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    first, first_bias, last, last_bias = model.get_weights()
    model.set_weights([first, first_bias + 0.1, last, last_bias - 0.2])
    hidden = np.maximum(x.reshape(5, 64) @ first + 0.1, 0)
    np.testing.assert_allclose(model(x), hidden @ last - 0.2, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (300, 0), (-1,), (1.5,)])
def test_bad_hidden_sizes(hidden):
    with pytest.raises(InputError, match="^hidden=.*: must be one or more whole numbers above 0$"):
        models.mlp(hidden=hidden)
