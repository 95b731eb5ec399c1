import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training.objectives import BY_NAME, Adversarial, Clean, Mixed

LABELS = tf.constant([0, 2, 1, 2], tf.int64)
LOGITS = tf.constant(np.random.default_rng(0).normal(size=(4, 3)) * 3, tf.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
def test_example_losses(smoothing):
    """Smoothed labels give each class s / c, and the true one 1 - s more."""
    objective = Mixed(label_smoothing=smoothing)
    losses = objective.example_losses(LABELS, LOGITS)
    assert losses.shape == [4] and losses.dtype == tf.float32

    exact = LOGITS.numpy().astype(np.float64)
    log_probabilities = exact - np.log(np.exp(exact).sum(axis=1, keepdims=True))
    targets = np.eye(3)[LABELS] * (1 - smoothing) + smoothing / 3
    np.testing.assert_allclose(losses, -(targets * log_probabilities).sum(axis=1), rtol=1e-5)
    oracle = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="none"
    )
    np.testing.assert_allclose(losses, oracle(tf.one_hot(LABELS, 3), LOGITS), rtol=1e-5)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_objective_has_the_cross_entropy(name):
    """Evaluation reports it, whatever the loss in training."""
    expected = Mixed(label_smoothing=0.1).example_losses(LABELS, LOGITS)
    losses = BY_NAME[name](label_smoothing=0.1).example_losses(LABELS, LOGITS)
    np.testing.assert_array_equal(losses, expected)


@pytest.mark.parametrize(
    ("objective", "weight"), [(Clean(), 1), (Adversarial(), 0), (Mixed(clean_weight=0.3), 0.3)]
)
def test_mix(objective, weight):
    assert objective.mix(2.0, 4.0) == pytest.approx(2 * weight + 4 * (1 - weight))


def test_large_logits_stay_finite():
    for smoothing in (0.0, 0.1):
        losses = Mixed(label_smoothing=smoothing).example_losses(LABELS, 1e4 * LOGITS)
        assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(clean_weight=-0.1), "clean_weight=-0.1: must be at least 0 and at most 1"),
        (dict(clean_weight=1.1), "clean_weight=1.1: must be"),
        (dict(clean_weight=float("nan")), "clean_weight=nan: must be"),
        (dict(label_smoothing=-0.1), "label_smoothing=-0.1: must be"),
        (dict(label_smoothing=1.1), "label_smoothing=1.1: must be"),
    ],
)
def test_mixed_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        Mixed(**arguments)
