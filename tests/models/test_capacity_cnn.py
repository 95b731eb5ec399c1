import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError

# Parameters of the scales 0 to 5 on MNIST, by hand: convolutions, hidden layer, logits.
SCALES = [
    (2 * 26 + 4 * (25 * 2 + 1)) + (16 * 4 + 1) * 100 + 101 * 10,
    (4 * 26 + 8 * (25 * 4 + 1)) + (16 * 8 + 1) * 200 + 201 * 10,
    (8 * 26 + 16 * (25 * 8 + 1)) + (16 * 16 + 1) * 400 + 401 * 10,
    (16 * 26 + 32 * (25 * 16 + 1)) + (16 * 32 + 1) * 800 + 801 * 10,
    (32 * 26 + 64 * (25 * 32 + 1)) + (16 * 64 + 1) * 1600 + 1601 * 10,
    (64 * 26 + 128 * (25 * 64 + 1)) + (16 * 128 + 1) * 3200 + 3201 * 10,
]


@pytest.mark.parametrize("scale", range(6))
def test_capacity_cnn(scale):
    model = models.capacity_cnn(width=2**scale)
    assert model.count_params() == SCALES[scale]
    sizes = [kernel.shape[-1] for kernel in model.weights if "kernel" in kernel.name]
    assert sizes == [2 * 2**scale, 4 * 2**scale, 100 * 2**scale, 10]


@pytest.mark.parametrize(
    "options, weights",
    [({}, 64_649), ({"width": 0.5}, 8 * 26 + 16 * 201 + (16 * 16 + 1) * 50 + 51)],
)
def test_binary_cnn(options, weights):
    model = models.binary_cnn(**options)
    assert model.count_params() == weights
    assert model.output_shape == (None, 2)


def test_binary_cnn_ends_in_a_weight_a_feature():
    """The logits are 0 and the weighted sum of features that are not negative."""
    model = models.binary_cnn(width=0.1)
    *_, before, last, _ = model.layers
    features = keras.Model(model.inputs, before.output)
    x = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    kernel, bias = last.get_weights()
    last.set_weights([kernel, bias + 0.5])
    found = features(x).numpy()
    assert found.shape == (5, 10) and (found >= 0).all() and found.any()
    expected = found @ kernel + 0.5
    np.testing.assert_allclose(model(x), np.hstack([0 * expected, expected]), atol=1e-6)


@pytest.mark.parametrize("name", ["capacity_cnn", "binary_cnn"])
def test_names_the_size_it_needs(name):
    with pytest.raises(InputError, match=r"^input_shape=\(15, 28, 1\): .* at least 16 "):
        models.BY_NAME[name]((15, 28, 1), 2)


def test_binary_cnn_is_of_two_classes():
    with pytest.raises(InputError, match="^num_classes=10: must be 2 "):
        models.binary_cnn(num_classes=10)
