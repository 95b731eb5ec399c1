import numpy as np
import pytest

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import activation_sparsity


@pytest.mark.parametrize("sparse", [False, True])
def test_by_hand(digits, sparse):
    """Over more than a batch."""
    network = models.mlp((8, 8, 1), hidden=(12, 9))
    first, first_bias, second, second_bias, *_ = network.get_weights()
    split = digits[0]
    x = split.images.reshape(-1, 64)
    one = np.maximum(x @ first + first_bias, 0)
    two = np.maximum(one @ second + second_bias, 0)
    expected = {"hidden_1": np.mean(one == 0), "hidden_2": np.mean(two == 0)}
    found = activation_sparsity(sparsify(network) if sparse else network, split)
    assert list(found) == ["hidden_1", "hidden_2"]
    assert found == pytest.approx(expected, abs=1e-3)
    assert all(0.1 < value < 0.9 for value in found.values())


def test_a_linear_model_has_none(digits):
    with pytest.raises(InputError, match="has no layer with a ReLU"):
        activation_sparsity(models.linear((8, 8, 1)), digits[2])
