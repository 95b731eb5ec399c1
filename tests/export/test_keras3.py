"""Keras 3 files: written from tf_keras, loaded by Keras 3, refused where they hold code."""

import json
import zipfile

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import forms, load, load_model, to_keras3
from robust_sparse_tf.export import keras3 as writer
from robust_sparse_tf.export.examples import random_inputs
from robust_sparse_tf.export.kernels import set_weights
from robust_sparse_tf.models.layers import ParameterFreeShortcut

layers = keras.layers


def network(shape, *inner, **of_input) -> keras.Model:
    return keras.Sequential([layers.Input(shape, **of_input), *inner, layers.Dense(3)])


def adapted() -> keras.Model:
    """With statistics that are weights, and a layer that is replaced by plain ones."""
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).random((9, 6, 6, 2)))
    return network((6, 6, 2), norm, ParameterFreeShortcut(5, 3), layers.Flatten())


def attention() -> keras.Model:
    inputs = layers.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden)))


def convolutions() -> keras.Model:
    return network(
        (9, 9, 2),
        layers.DepthwiseConv2D(2),
        layers.SeparableConv2D(4, 2),
        layers.Conv2DTranspose(4, 3),
        layers.BatchNormalization(),
        layers.Flatten(),
    )


def nested() -> keras.Model:
    inner = network((6, 6, 2), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D())
    return network((6, 6, 2), inner, layers.Dropout(0.5))


MADE = {
    "mlp": lambda: models.mlp((4, 4, 1), hidden=[5], mean=0.5, std=0.2),
    "binary": lambda: models.binary_linear((4, 4, 1)),
    "convolutions": convolutions,
    "nested": nested,
    "recurrent": lambda: network((5, 4), layers.LSTM(6, return_sequences=True), layers.GRU(3)),
    "both ways": lambda: network((5, 4), layers.Bidirectional(layers.LSTM(3))),
    "tokens": lambda: network((6,), layers.Embedding(9, 3), layers.Flatten(), dtype="int32"),
    "mixed": lambda: network((4,), layers.Dense(4, dtype="mixed_float16")),
    "double": lambda: network((4,), layers.Dense(4, dtype="float64")),
    "a fixed batch": lambda: network((4,), layers.Dense(4, tf.nn.relu), batch_size=2),
    "adapted": adapted,
    "shortcuts": lambda: models.resnet20((8, 8, 3), width=0.25),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_keras_3_computes_the_same(make, tmp_path):
    path, model = tmp_path / "model.keras", make()
    moved = [weight + 0.1 * (weight.dtype.kind == "f") for weight in model.get_weights()]
    set_weights(model, moved)  # also those that begin at zero
    assert to_keras3(model, str(path)) == path.stat().st_size
    loaded = keras3.saving.load_model(path)
    x = random_inputs(model, 2)
    found = keras3.ops.convert_to_numpy(loaded(x)).astype(np.float32)
    np.testing.assert_allclose(found, np.asarray(model(x), np.float32), atol=1e-3, rtol=1e-3)
    assert forms.form_of(str(path)) == "keras3"
    np.testing.assert_array_equal(np.asarray(load(path)(tf.constant(x)), np.float32), found)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]


WHOLE = {
    **{name: models.BY_NAME[name] for name in ("lenet_300_100", "lenet5", "madry_mnist_cnn")},
    "capacity_cnn": models.BY_NAME["capacity_cnn"],
    "vgg_like": lambda: models.vgg_like(width=0.25),
    "vgg16": lambda: models.vgg16(width=0.25),
    "resnet18": lambda: models.resnet18(width=0.25),
    "resnet50": lambda: models.resnet50(width=0.125),
    "mobilenet_v2": lambda: keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_whole_architectures(make, tmp_path):
    model = make()
    to_keras3(model, str(tmp_path / "model.keras"))
    x = random_inputs(model, 2)
    np.testing.assert_allclose(load(tmp_path / "model.keras")(x), model(x), atol=1e-4)


class Own(layers.Layer):
    def call(self, x):
        return x


def operation() -> keras.Model:
    inputs = layers.Input((4,))
    return keras.Model(inputs, layers.Dense(3)(inputs / 2.0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (operation, "is a TensorFlow operation, which Keras 3 lacks; use layers"),
        (lambda: network((4,), layers.Lambda(lambda x: x)), "holds code"),
        (lambda: network((4,), Own()), r"is a .*\.Own, which Keras 3 lacks"),
        (lambda: network((4,), layers.Dense(2, lambda x: 2 * x)), "cannot be converted to Keras 3"),
        (attention, "cannot be converted to Keras 3 .*MultiHeadAttention"),
        (
            lambda: network((1,), layers.StringLookup(vocabulary=["a"]), dtype="string"),
            "has inputs of type string; must have numbers",
        ),
    ],
)
def test_models_that_are_refused(make, words, tmp_path):
    model = make()
    with pytest.raises(InputError, match=f"^model {model.name}: .*{words}") as caught:
        to_keras3(model, str(tmp_path / "model.keras"))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_other_names_and_keras_3_models_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.keras"):
        to_keras3(network((4,)), str(tmp_path / "model"))
    model = keras3.Sequential([keras3.layers.Input((4,)), keras3.layers.Dense(3)])
    with pytest.raises(InputError, match="must be a tf_keras model"):
        to_keras3(model, str(tmp_path / "model.keras"))


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    right = writer._converted
    monkeypatch.setattr(writer, "_converted", lambda *given: right(*given) + 0.1)
    with pytest.raises(TrainingError, match="outputs in Keras 3 differ"):
        to_keras3(network((4,)), str(tmp_path / "model.keras"))
    assert not list(tmp_path.iterdir())


def test_a_keras_3_file_is_no_tf_keras_model(tmp_path):
    to_keras3(network((4,)), str(tmp_path / "model.keras"))
    with pytest.raises(InputError, match="is of Keras 3; must be a .keras, HDF5 or packed file"):
        load_model(tmp_path / "model.keras")


def test_lambdas_run_only_where_they_are_trusted(tmp_path):
    inputs = keras3.layers.Input((4,))
    doubled = keras3.layers.Lambda(lambda x: 2 * x)(inputs)
    path = tmp_path / "model.keras"
    keras3.Model(inputs, doubled).save(path)
    with pytest.raises(InputError, match=r"holds code .*trust=True") as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    found = load(path, trust=True)(tf.ones((1, 4)))
    np.testing.assert_array_equal(found, 2 * np.ones((1, 4)))


PAYLOADS = {
    "a function": {"class_name": "function", "module": "os", "config": "system"},
    "keras downloads": {"class_name": "function", "module": "keras.utils", "config": "get_file"},
    "a class": {"class_name": "Popen", "module": "subprocess", "config": {"args": "true"}},
    "a program": {
        "class_name": "TFSMLayer",
        "module": "keras.layers",
        "config": {"filepath": "saved_model"},
    },
    "words from a file": {
        "class_name": "StringLookup",
        "module": "keras.layers",
        "config": {"vocabulary": "/etc/passwd"},
    },
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_code_in_a_configuration_is_refused(payload, tmp_path):
    first, path = str(tmp_path / "first.keras"), str(tmp_path / "model.keras")
    to_keras3(network((4,)), first)
    with zipfile.ZipFile(first) as source, zipfile.ZipFile(path, "w") as file:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][-1]["config"]["activation"] = payload
                content = json.dumps(config).encode()
            file.writestr(name, content)
    with pytest.raises(InputError, match=r"trust=True"):
        load(path)


def test_a_cut_file(tmp_path):
    path = tmp_path / "model.keras"
    to_keras3(network((4,)), str(path))
    content = path.read_bytes()
    for size in (len(content) // 3, len(content) - 30):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="cannot be read, is damaged or incomplete"):
            load(path)


def test_another_backend_is_refused(tmp_path, monkeypatch):
    to_keras3(network((4,)), str(tmp_path / "model.keras"))
    monkeypatch.setattr(keras3.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="Keras 3 uses jax; set KERAS_BACKEND=tensorflow"):
        load(tmp_path / "model.keras")
