"""Features whose usefulness is known, as their images are the features."""

import dataclasses

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import feature_usefulness
from robust_sparse_tf.evaluation.feature_usefulness import head, infima, measure, usefulness
from robust_sparse_tf.models.layers import BinaryLogits

IMAGES = np.array([[0.5, 0.9], [0.2, 0.1], [0.01, 0.98]], np.float32).reshape(3, 1, 2, 1)
LABELS = np.array([1, 0, 1])
SIGNS = np.array([[1], [-1], [1]])
WEIGHTS = np.array([2.0, -3.0], np.float32)


def pixels(*, outputs: int = 1) -> keras.Sequential:
    """A classifier whose two features are the pixels, with the weights 2 and -3 and a bias."""
    last = keras.layers.Dense(outputs)
    ends = [BinaryLogits()] if outputs == 1 else []
    model = keras.Sequential([keras.layers.Input((1, 2, 1)), keras.layers.Flatten(), last, *ends])
    kernel = WEIGHTS[:, None] if outputs == 1 else np.stack([0.5 - WEIGHTS, 0.5 + 0 * WEIGHTS], 1)
    last.set_weights([kernel, np.full(outputs, 7.0, np.float32)])
    return model


def by_definition(scores: np.ndarray) -> np.ndarray:
    """E[(2y - 1)(2 s(a) - 1)]."""
    return np.mean(SIGNS * (2 / (1 + np.exp(-scores)) - 1), axis=0)


def test_measure_is_the_definition():
    scores = np.array([[0.5, -2.0], [1.0, 3.0], [-4.0, 0.0]])
    np.testing.assert_allclose(measure(SIGNS * scores), by_definition(scores), rtol=1e-12)


def test_measure_of_beliefs_without_doubt():
    """A feature that is always right, one that is always wrong, one that says nothing."""
    np.testing.assert_array_equal(measure(np.array([[1e4, -1e4, 0.0]] * 2)), [1, -1, 0])


@pytest.mark.parametrize("outputs", [1, 2])
def test_by_hand(outputs):
    """Three steps of .01 against the label's sign, within [0, 1]; up where weights are below 0."""
    found = usefulness(pixels(outputs=outputs), (IMAGES, LABELS))
    clean = IMAGES.reshape(3, 2)
    low = np.array([[0.47, 0.87], [0.23, 0.13], [0.0, 0.95]])
    worst = np.array([[0.47, 0.93], [0.23, 0.07], [0.0, 1.0]])
    mean, std = clean.mean(axis=0), clean.std(axis=0)
    expected = dict(
        weights=WEIGHTS,
        raw=by_definition(clean),
        raw_robust=by_definition(low),
        weighted=by_definition(WEIGHTS * clean),
        weighted_robust=by_definition(WEIGHTS * worst),
        normalised=by_definition((clean - mean) / std),
        normalised_robust=by_definition((low - mean) / std),
    )
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "attack, depth",
    [
        (PGD(epsilon=0.02, step_size=0.01, steps=3), 0.02),
        (PGD(epsilon=0.3, step_size=0.05, steps=1), 0.05),
        (PGD(epsilon=0.3, step_size=0.3, steps=1, random_start=True), 0.3),
    ],
)
def test_attack_decides_how_far(attack, depth):
    low = infima(pixels().layers[0], IMAGES, SIGNS.astype(np.float32), np.eye(2, dtype="f"), attack)
    expected = SIGNS * np.clip(IMAGES.reshape(3, 2) - SIGNS * depth, 0, 1)
    # From a random start one step may lead on beyond what it takes from the image.
    compare = np.testing.assert_array_less if attack.random_start else np.testing.assert_allclose
    compare(low, expected + attack.random_start * (depth + 1e-6))


def test_keeps_the_least_that_it_meets():
    """A step that goes too far leads to more; the image itself is less."""
    x = keras.layers.Input((1, 1, 1))
    hill = keras.Model(x, keras.layers.Flatten()(-x * (x - 0.4) * (x - 0.4)))
    images = np.full((1, 1, 1, 1), 0.05, np.float32)
    signs, one = np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)
    (low,) = infima(hill, images, signs, one, PGD(epsilon=0.35, step_size=0.35, steps=1))
    assert low[0] == pytest.approx(-0.05 * 0.35**2)


def convnet() -> keras.Sequential:
    keras.utils.set_random_seed(0)
    return models.binary_cnn((16, 16, 1), width=0.5)


RANDOM = np.random.default_rng(0).random((7, 16, 16, 1), np.float32), np.arange(7) % 2


def test_robust_usefulness_is_less():
    found = usefulness(convnet(), RANDOM)
    for name in ("raw", "weighted", "normalised"):
        clean, robust = getattr(found, name), getattr(found, name + "_robust")
        assert (np.abs(clean) <= 1).all() and (robust >= -1).all()
        assert (robust <= clean + 1e-12).all() and (robust < clean).any()


def test_does_not_depend_on_the_batches(monkeypatch):
    whole = usefulness(convnet(), RANDOM)
    monkeypatch.setattr(feature_usefulness, "_ROWS", 125)  # two images of fifty features at a time
    for name, value in dataclasses.asdict(usefulness(convnet(), RANDOM)).items():
        np.testing.assert_allclose(value, getattr(whole, name), rtol=1e-4, atol=1e-6, err_msg=name)


def test_head_is_the_end_of_the_network():
    """z = w.f + b, of a sparse model, too."""
    model = convnet()
    features, weights = head(sparsify(model))
    z = features(RANDOM[0]).numpy() @ weights + model.layers[-2].bias.numpy()
    np.testing.assert_allclose(model(RANDOM[0])[:, 1], z, atol=1e-6)


def test_feature_that_does_not_vary_says_nothing_when_normalised():
    images = IMAGES.copy()
    images[:, :, 0] = 0.25
    found = usefulness(pixels(), (images, LABELS))
    assert found.normalised[0] == found.normalised_robust[0] == 0
    assert found.normalised[1] != 0


@pytest.mark.parametrize(
    "model, labels, words",
    [
        (lambda: models.linear((1, 2, 1), 3), LABELS, "model linear: .* two classes"),
        (
            lambda: keras.Sequential([keras.layers.Input((1, 2, 1)), keras.layers.Flatten()]),
            LABELS,
            "end in a dense layer",
        ),
        (pixels, LABELS + 1, "labels from 1 to 2: must be 0 or 1"),
    ],
)
def test_refuses(model, labels, words):
    with pytest.raises(InputError, match=words):
        usefulness(model(), (IMAGES, labels))
