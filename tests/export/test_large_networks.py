"""A pruned MobileNetV2 goes through every format other than TFLite."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import export, sparsity

WRITERS = {
    "model.keras": export.to_keras3,
    "model.onnx": export.to_onnx,
    "model.safetensors": export.to_packed,
    "saved_model": export.to_saved_model,
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Pruned to 80 % zeros; its batch normalizations have other statistics than at the start."""
    keras.utils.set_random_seed(0)
    made = keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None
    )
    sparse = sparsity.sparsify(made, sparsity.Magnitude(density=0.2))
    rng = np.random.default_rng(0)
    for weight in sparse.weights:
        if "moving_variance" in weight.name:
            weight.assign(rng.uniform(0.02, 0.1, weight.shape))
    return sparse


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is a SavedModel")
@pytest.mark.parametrize("name", WRITERS)
def test_mobilenet_v2(name, model, tmp_path):
    path = str(tmp_path / name)
    assert WRITERS[name](model, path) == export.sizes(path).bytes
    x = np.random.default_rng(1).random((2, 96, 96, 3), np.float32)
    expected = model(x).numpy()
    assert np.abs(expected).max() > 0.01
    found = export.load(path)(tf.constant(x))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    if name == "model.safetensors":
        assert export.sizes(path).bytes < 0.35 * 4 * model.count_params()
