import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, strip
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import agreement, to_tflite
from robust_sparse_tf.training import Mixed


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


def test_binary_linear_by_hand():
    """One weight a pixel; the cross-entropy of the two logits is the softplus of the margin."""
    model = models.binary_linear()
    kernel, bias = model.get_weights()
    assert (kernel.shape, bias.shape) == ((784, 1), (1,))
    model.set_weights([kernel, bias + 0.5])
    x = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    z = (x.reshape(5, 784) @ kernel + 0.5)[:, 0]
    np.testing.assert_allclose(model(x), np.stack([0 * z, z], axis=1), atol=1e-5)
    labels = np.array([0, 1, 0, 1, 1])
    expected = np.log1p(np.exp(np.where(labels == 1, -z, z)))
    np.testing.assert_allclose(Mixed().example_losses(labels, model(x)), expected, rtol=1e-5)


def test_binary_linear_is_saved_and_exported(tmp_path):
    model = models.binary_linear((8, 8, 1))
    x = np.random.default_rng(0).random((20, 8, 8, 1), np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(x), model(x))
    path = str(tmp_path / "model.tflite")
    to_tflite(model, path)
    assert agreement(strip(model), path, x) == 1


@pytest.mark.parametrize("num_classes", [1, 3, 10])
def test_binary_linear_is_of_two_classes(num_classes):
    with pytest.raises(InputError, match=f"^num_classes={num_classes}: must be 2 "):
        models.binary_linear((8, 8, 1), num_classes)
