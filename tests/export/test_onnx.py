"""ONNX files: written, checked and loaded."""

import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import forms, load, onnx_file, to_onnx
from robust_sparse_tf.export.examples import random_inputs

layers = keras.layers


def network(shape, *inner, **of_input) -> keras.Model:
    return keras.Sequential([layers.Input(shape, **of_input), *inner, layers.Dense(3)])


def operation() -> keras.Model:
    inputs = layers.Input((4,))
    return keras.Model(inputs, layers.Dense(3)(tf.tanh(inputs / 2.0)))


MADE = {
    "mlp": lambda: models.mlp((4, 4, 1), hidden=[5], mean=0.5, std=0.2),
    "convolutions": lambda: network(
        (8, 8, 2),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(4, 2, strides=2),
        layers.BatchNormalization(),
        layers.Flatten(),
    ),
    "recurrent": lambda: network((5, 4), layers.LSTM(6)),
    "tokens": lambda: network((6,), layers.Embedding(9, 3), layers.Flatten(), dtype="int32"),
    "mixed": lambda: network((4,), layers.Dense(4, dtype="mixed_float16")),
    "a fixed batch": lambda: network((4,), batch_size=2),
    "operations": operation,
    "shortcuts": lambda: models.resnet20((8, 8, 3), width=0.25),
    "binary": lambda: models.binary_linear((4, 4, 1)),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_onnx_computes_the_same(make, tmp_path):
    path, model = tmp_path / "model.onnx", make()
    assert to_onnx(model, str(path)) == path.stat().st_size
    assert forms.form_of(str(path)) == "onnx"
    logits = load(path)
    for size in (1, 5):
        x = random_inputs(model, size)
        expected = np.concatenate(
            [np.asarray(model(x[k : k + 1]), np.float32) for k in range(size)]
        )
        np.testing.assert_allclose(logits(tf.constant(x)), expected, atol=1e-3)
        assert logits(tf.constant(x)).shape == expected.shape


def test_names_of_inputs_and_outputs(tmp_path):
    import onnxruntime

    to_onnx(network((4,)), str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (entry,), (exit_,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, exit_.name, entry.shape[1:]) == ("images", "logits", [4])
    assert not isinstance(entry.shape[0], int)


def test_what_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    inputs = layers.Input((4,)), layers.Input((3,))
    several = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(inputs)))
    with pytest.raises(InputError, match="has 2 inputs; must have one"):
        to_onnx(several, str(path))
    words = network((1,), layers.StringLookup(vocabulary=["a"]), dtype="string")
    with pytest.raises(InputError, match="has inputs of type string"):
        to_onnx(words, str(path))
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r"^tf2onnx is not installed; pip install 'robust_sparse_tf\[export\]'"
    ):
        to_onnx(network((4,)), str(path))
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    right = onnx_file.outputs
    monkeypatch.setattr(onnx_file, "outputs", lambda *given: right(*given) + 0.1)
    with pytest.raises(TrainingError, match="outputs in ONNX differ"):
        to_onnx(network((4,)), str(tmp_path / "model.onnx"))
    assert not list(tmp_path.iterdir())


def test_damaged_files_and_wrong_images(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    to_onnx(network((4,)), str(path))
    logits, content = load(path), path.read_bytes()
    with pytest.raises(Exception, match=r"images of shape \(2, 3\): must be"):
        logits(tf.zeros((2, 3)))
    with pytest.raises(InputError, match="n above 0"):
        onnx_file.onnx_function(content)(np.zeros((0, 4), np.float32))
    for size in (20, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="must be that of an ONNX file") as caught:
            load(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(content)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="onnxruntime is not installed; pip install"):
        load(path)
