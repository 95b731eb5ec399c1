import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import OpResolverType

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import TrainingError
from robust_sparse_tf.export import (
    agreement,
    tflite,
    tflite_function,
    tflite_logits,
    tflite_runner,
    to_saved_model,
    to_tflite,
)
from robust_sparse_tf.sparsity import Magnitude
from robust_sparse_tf.training import AdversarialModel

RESOLVERS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def convolutional() -> keras.Model:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("exported") / "model.tflite")
    size = to_tflite(trained, path)
    return path, size


@pytest.mark.parametrize("resolver", RESOLVERS, ids=lambda resolver: resolver.name)
def test_tflite_gives_what_keras_gives(resolver, exported, trained, digits):
    path, size = exported
    with open(path, "rb") as file:
        content = file.read()
    assert len(content) == size
    images = digits[2].images  # 360, more than are run at once
    expected = trained.network(images).numpy()
    np.testing.assert_allclose(tflite_logits(content, images, resolver), expected, atol=1e-4)
    assert agreement(trained, path, images) == 1


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(convolutional, id="dense", marks=pytest.mark.slow),
        pytest.param(lambda: sparsify(convolutional(), Magnitude(0.1)), id="sparse"),
    ],
)
def test_convolutional_models_are_exported(make, digits, tmp_path):
    path, model = str(tmp_path / "model.tflite"), make()
    to_tflite(model, path)
    assert agreement(model, path, digits[1].images) == 1


def test_sparse_files_are_smaller(make_lenet, tmp_path):
    sizes = [to_tflite(make_lenet(density), str(tmp_path / "x.tflite")) for density in (1.0, 0.1)]
    assert sizes[0] > 4 * 50_200  # bytes of the dense weights
    assert sizes[1] < sizes[0] / 3


def test_pruned_units_are_exported(tmp_path):
    """Of whose zeros the converter makes blocks of four, though thirty inputs are none."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((30, 1, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    kernel, bias = model.get_weights()
    kernel[:, :5] = 0
    model.set_weights([kernel, bias])
    path = str(tmp_path / "model.tflite")
    to_tflite(model, path)
    images = np.random.default_rng(1).random((300, 30, 1, 1), np.float32)
    assert agreement(model, path, images) == 1


def test_agreement_counts_predictions(exported, trained, digits, make_lenet):
    """Between two models, as often as they predict alike; for bytes as for floats."""
    path, _ = exported
    other = make_lenet(0.5, seed=1)
    images = digits[2].images
    alike = np.argmax(other(images), axis=1) == np.argmax(trained.network(images), axis=1)
    assert 0 < alike.mean() < 1
    assert agreement(other, path, images) == pytest.approx(alike.mean())

    pixels = np.rint(images * 255).astype(np.uint8)
    as_floats = pixels.astype(np.float32) / 255
    assert agreement(other, path, pixels) == agreement(other, path, as_floats)


def test_one_interpreter_runs_all_sizes_of_batches(exported, digits, monkeypatch):
    """As when the attacks that are still running get fewer; the parts of 120 are 100 and 20."""
    with open(exported[0], "rb") as file:
        content = file.read()
    images = digits[1].images.astype(np.float32)
    expected = tflite_logits(content, images)
    interpreter, made = tflite_runner.Interpreter, []
    monkeypatch.setattr(
        tflite_runner, "Interpreter", lambda **given: made.append(given) or interpreter(**given)
    )
    logits = tflite_function(content)
    for size in (3, 100, 120, 20, 3, 100):
        np.testing.assert_allclose(logits(images[:size]), expected[:size], atol=1e-6)
    assert len(made) == 1


def test_a_file_that_does_not_agree_is_not_written(tmp_path, monkeypatch):
    """A converter gone wrong is noticed, and an earlier file stays."""
    right = tflite.tflite_logits
    monkeypatch.setattr(tflite, "tflite_logits", lambda *given: right(*given) + 0.1)
    path = tmp_path / "model.tflite"
    path.write_bytes(b"earlier")
    with pytest.raises(TrainingError, match="TFLite logits differ"):
        to_tflite(models.linear((8, 8, 1)), str(path))
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


def test_logits_that_are_not_finite_do_not_agree(tmp_path):
    model = models.linear((8, 8, 1))
    kernel = model.trainable_variables[0]
    kernel.assign(kernel * np.nan)
    with pytest.raises(TrainingError, match="TFLite logits differ"):
        to_tflite(model, str(tmp_path / "model.tflite"))


@pytest.mark.parametrize("existing", [pytest.param(False, marks=pytest.mark.slow), True])
def test_saved_model_reloads(existing, trained, digits, tmp_path):
    """Without wrappers, and with the same outputs; a second one takes the first one's place."""
    path, images = str(tmp_path / "saved"), digits[1].images
    if existing:  # where the first one is written where nothing is
        to_saved_model(AdversarialModel(models.linear((8, 8, 1))), path)
    to_saved_model(trained, path)
    expected = trained.network(images)
    reloaded = keras.models.load_model(path, compile=False)
    np.testing.assert_allclose(reloaded(images), expected, atol=1e-6)
    assert len(reloaded.weights) == 3
    served = tf.saved_model.load(path).signatures["serving_default"]
    (outputs,) = served(tf.constant(images)).values()
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]
