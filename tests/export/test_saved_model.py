"""SavedModels: their signatures, and what lies beside them for readers."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import ModelCard, load, sizes, to_saved_model

layers = keras.layers
NAMES = [f"digit {number}" for number in range(10)]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.mlp((8, 8, 1), hidden=[6])


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    card = ModelCard.of(
        model,
        class_names=NAMES,
        training={"attack": "pgd"},
        accuracy={"clean": 0.9},
        notes=["Noise layers are off."],
    )
    return path, to_saved_model(model, str(path), card=card)


@pytest.mark.parametrize("count", [1, 3])
def test_signatures(count, model, written):
    signatures = tf.saved_model.load(str(written[0])).signatures
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1)).astype(np.uint8)
    images = pixels / np.float32(255)
    logits = model(images).numpy()
    given = {"serving_default": images, "probabilities": images}
    given |= {"uint8_logits": pixels, "uint8_probabilities": pixels}
    assert set(signatures) == set(given)
    for name, x in given.items():
        kind = "probabilities" if "probabilities" in name else "logits"
        (found,) = signatures[name](images=tf.constant(x)).items()
        expected = logits if kind == "logits" else tf.nn.softmax(logits).numpy()
        assert found[0] == kind and found[1].dtype == tf.float32
        np.testing.assert_allclose(found[1], expected, atol=1e-6)


def test_the_assets_are_plain_files(model, written):
    path, size = written
    names = (path / "assets.extra" / "class_names.txt").read_text().splitlines()
    card = json.loads((path / "assets.extra" / "model_card.json").read_text())
    text = (path / "assets.extra" / "model_card.md").read_text()
    assert names == NAMES == card["class_names"]
    written_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size == sizes(str(path)).bytes == written_bytes
    assert card["training"] == {"attack": "pgd"} and card["accuracy"] == {"clean": 0.9}
    assert card["parameters"] == model.count_params()
    for words in ("| clean | 90.00 |", "Noise layers are off.", "digit 3", "| attack | pgd |"):
        assert words in text


def test_integer_inputs_and_half_precision(tmp_path):
    tokens = keras.Sequential(
        [layers.Input((6,), dtype="int32"), layers.Embedding(9, 3), layers.Flatten()]
    )
    tokens.add(layers.Dense(3))
    half = keras.Sequential([layers.Input((4,), dtype="float16")])
    half.add(layers.Dense(3, dtype="float16"))
    x = np.ones((2, 4), np.float32)
    for network, x in ((tokens, np.ones((2, 6), np.int32)), (half, np.ones((2, 4), np.float32))):
        to_saved_model(network, str(tmp_path / "model"))
        signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
        assert ("uint8_logits" in signatures) == (network is half)
        found = signatures["serving_default"](images=tf.constant(x))["logits"]
        np.testing.assert_allclose(found, network(x), atol=1e-3)


def test_other_models_keep_what_keras_writes(tmp_path):
    inputs = layers.Input((4,)), layers.Input((3,))
    several = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(inputs)))
    softmax = keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    for network in (several, softmax):
        to_saved_model(network, str(tmp_path / "model"))
        signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
        assert list(signatures) == ["serving_default"]


@pytest.mark.filterwarnings("ignore:.*is a SavedModel")
def test_load_uses_the_logits(model, written):
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    found = load(str(written[0]))(tf.constant(images))
    np.testing.assert_allclose(found, model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"class_names": ["one"]}, "must be 10, one for each logit"),
        ({"class_names": "ten"}, "must be a list of strings"),
        ({"class_names": ["a\nb", *NAMES[1:]]}, "of one line each"),
        ({"card": "text"}, "card='text'"),
    ],
)
def test_wrong_arguments_write_nothing(given, words, model, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        to_saved_model(model, str(tmp_path / "model"), **given)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_names_that_differ_from_the_card(model, tmp_path):
    card = ModelCard.of(model, class_names=NAMES)
    with pytest.raises(InputError, match="differ from those of the card"):
        to_saved_model(model, str(tmp_path / "model"), class_names=NAMES[::-1], card=card)
    with pytest.raises(InputError, match="training=1: must be a dictionary"):
        ModelCard.of(model, training=1)
    with pytest.raises(InputError, match="notes='x': must be a list of strings"):
        ModelCard.of(model, notes="x")
