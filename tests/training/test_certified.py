"""Training on bounds: its loss, its schedule, and masks under it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, robust

from robust_sparse_tf import bounds, models, sparsity
from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds import crown, interval_bounds
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import certified_accuracy
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.objectives import IBP, CrownIBP

layers = keras.layers
AT_ONCE = dict(warmup_steps=0, ramp_steps=0)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_the_loss_by_hand():
    """A network of one hidden layer, in NumPy."""
    network = models.mlp((2, 2, 1), 3, hidden=(5,))
    first, bias, last, offset = (np.float64(w) for w in network.get_weights())
    rng = np.random.default_rng(0)
    x, y = rng.random((4, 2, 2, 1)).astype(np.float32), np.array([0, 2, 1, 1])
    flat = np.float64(x).reshape(4, 4)
    low, high = np.maximum(flat - 0.1, 0), np.minimum(flat + 0.1, 1)
    middle = (low + high) / 2 @ first + bias
    radius = (high - low) / 2 @ np.abs(first)
    low, high = np.maximum(middle - radius, 0), np.maximum(middle + radius, 0)
    worst = np.zeros((4, 3))
    for n in range(4):
        for k in set(range(3)) - {y[n]}:
            weights = last[:, k] - last[:, y[n]]
            worst[n, k] = np.maximum(weights, 0) @ high[n] + np.minimum(weights, 0) @ low[n]
            worst[n, k] += offset[k] - offset[y[n]]
    clean = -log_softmax(np.maximum(flat @ first + bias, 0) @ last + offset)
    expected = 0.3 * clean[range(4), y] - 0.7 * log_softmax(worst)[range(4), y]
    objective = IBP(certified_epsilon=0.1, kappa=0.3, **AT_ONCE)
    end, labels = tf.constant(1.0), tf.constant(y, tf.int64)
    logits, margins = objective.margins(network, tf.constant(x), labels, end)
    np.testing.assert_allclose(
        objective.losses(labels, logits, margins, end), expected, rtol=1e-4, atol=1e-5
    )
    model = robust(network, objective=objective)
    assert model.test_on_batch(x, y)[0] == pytest.approx(expected.mean(), rel=1e-4)
    assert model.train_on_batch(x, y)[0] == pytest.approx(expected.mean(), rel=1e-4)


def test_the_schedule_follows_the_step():
    objective = IBP(certified_epsilon=0.2, kappa=0.5, warmup_steps=10, ramp_steps=4)
    steps = [0, 9, 10, 11, 13, 50]
    progress = [float(objective.progress(tf.constant(step, tf.int64))) for step in steps]
    assert progress == [0, 0, 0.25, 0.5, 1, 1]
    assert float(objective.ball(tf.constant(0.25)).epsilon) == pytest.approx(0.05)
    margins, zeros = tf.constant([[np.inf, -3.0]]), tf.zeros([1, 2])
    labels, even = tf.constant([0], tf.int64), np.log(2)
    losses = [
        float(objective.losses(labels, zeros, margins, tf.constant(part))[0])
        for part in (0.0, 0.5, 1.0)
    ]
    worst = np.log(1 + np.exp(3))
    expected = [even, 0.75 * even + 0.25 * worst, (even + worst) / 2]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_training_goes_on_at_the_step_of_the_model(digits):
    """Three steps and three more, in another model, are six."""
    x, y = digits[0].gather(tf.range(32, dtype=tf.int64))
    objective = IBP(certified_epsilon=0.1, warmup_steps=1, ramp_steps=6)

    def model():
        keras.utils.set_random_seed(0)
        return robust(models.mlp((8, 8, 1), hidden=(12,)), objective=objective)

    whole, first, second = model(), model(), model()
    for _ in range(6):
        whole.train_on_batch(x, y)
    for _ in range(3):
        first.train_on_batch(x, y)
    second.set_weights(first.get_weights())
    second.step.assign(first.step)
    second.optimizer.build(second.trainable_variables)
    for own, other in zip(second.optimizer.variables, first.optimizer.variables, strict=True):
        own.assign(other)
    for _ in range(3):
        second.train_on_batch(x, y)
    for own, other in zip(whole.network.weights, second.network.weights, strict=True):
        np.testing.assert_array_equal(own, other)


def test_networks_become_certified(digits):
    network = models.mlp((8, 8, 1), hidden=(40,))
    objective = IBP(certified_epsilon=0.05, warmup_steps=40, ramp_steps=100)
    model = AdversarialModel(network, FGSM_ATTACK, objective)
    model.compile(keras.optimizers.Adam(3e-3), metrics=["accuracy"], steps_per_execution=40)
    before = certified_accuracy(network, digits[2], 0.05)
    history = model.fit(digits[0], validation_data=digits[2], epochs=8, verbose=0).history
    assert set(history) >= {"certified_accuracy", "val_certified_accuracy", "val_accuracy"}
    assert "robust_accuracy" not in history  # the attack is not run
    found = certified_accuracy(model, digits[2], 0.05)
    assert found == pytest.approx(history["val_certified_accuracy"][-1], abs=1e-6)
    assert before < 0.1 < 0.6 < found <= history["val_accuracy"][-1]


@pytest.mark.parametrize(
    "method",
    [
        sparsity.RigL(density=0.3, update_interval=2, stop_step=6),
        sparsity.GradualMagnitude(density=0.3, start_step=0, stop_step=4, update_interval=2),
    ],
)
def test_masks_change_and_hold(method, digits):
    """In convolutions and dense layers with batch normalization."""
    network = sparsity.sparsify(models.strided_cnn((8, 8, 1), width=0.25), method)
    before = [mask.numpy() for _, _, mask, *_ in masked_weights(network)]
    model = robust(network, objective=IBP(certified_epsilon=0.05, **AT_ONCE))
    statistics = network.get_layer("norm_1").moving_mean.numpy()
    x, y = digits[0].gather(tf.range(32, dtype=tf.int64))
    for _ in range(6):
        model.train_on_batch(x, y)
    for (_, weight, mask, *_), then in zip(masked_weights(network), before, strict=True):
        np.testing.assert_array_equal(weight, weight * mask)
        assert np.any(mask != then)
    assert np.any(network.get_layer("norm_1").moving_mean != statistics)
    density = sum(np.sum(m) for _, _, m, *_ in masked_weights(network)) / sum(
        m.shape.num_elements() for _, _, m, *_ in masked_weights(network)
    )
    assert density == pytest.approx(0.3, abs=0.02)


def test_crown_ibp_mixes_linear_and_interval_bounds(digits):
    """Half of each in the middle of the ramp, and intervals at its end."""
    network = models.mlp((8, 8, 1), hidden=(12, 12))
    objective = CrownIBP(certified_epsilon=0.02)
    x, y = digits[0].gather(tf.range(8, dtype=tf.int64))
    found = {
        part: objective.margins(network, x, y, tf.constant(part))[1].numpy() for part in (0.5, 1.0)
    }
    ball = Ball("linf", 0.01)
    steps = interval_bounds.training_steps(network, x, ball)
    interval = bounds.margin_bounds(network, x, y, ball)
    other = np.isfinite(interval)
    linear = crown.margins(steps, y, ball, [crown.adaptive])
    np.testing.assert_allclose(
        found[0.5][other], ((linear + interval) / 2)[other], rtol=1e-4, atol=1e-5
    )
    assert np.mean(linear[other]) > np.mean(interval[other])
    at_end = bounds.margin_bounds(network, x, y, objective.ball())
    np.testing.assert_array_equal(found[1.0], at_end)


def test_crown_ibp_trains_with_batch_norm_and_masks(digits):
    network = sparsity.sparsify(
        models.strided_cnn((8, 8, 1), width=0.25), sparsity.Static(density=0.5)
    )
    objective = CrownIBP(certified_epsilon=0.02, warmup_steps=0, ramp_steps=12)
    model = robust(network, objective=objective, optimizer=keras.optimizers.Adam(1e-2))
    x, y = digits[0].gather(tf.range(64, dtype=tf.int64))
    losses = [model.train_on_batch(x, y)[0] for _ in range(16)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
    for _, weight, mask, *_ in masked_weights(network):
        np.testing.assert_array_equal(weight, weight * mask)


def test_sample_weights_count(digits):
    x, y = digits[0].gather(tf.range(8, dtype=tf.int64))
    model = robust(models.mlp((8, 8, 1), hidden=(12,)), objective=IBP(**AT_ONCE))
    whole = model.test_on_batch(x, y)[0]
    half = model.test_on_batch(x, y, sample_weight=np.full(8, 0.5))[0]
    assert half == pytest.approx(whole / 2, rel=1e-5)


def test_layers_without_bounds_are_refused():
    network = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.LayerNormalization(name="odd")]
    )
    network.add(layers.Dense(10))
    with pytest.raises(InputError, match="layer odd: LayerNormalization is not supported"):
        AdversarialModel(network, objective=IBP())


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(certified_epsilon=-0.1), "certified_epsilon=-0.1: must be at least 0"),
        (dict(kappa=1.5), "kappa=1.5: must be at least 0 and at most 1"),
        (dict(warmup_steps=-1), "warmup_steps=-1: must be at least 0"),
        (dict(ramp_steps=0.5), "ramp_steps=0.5: must be at least 0 and a whole number"),
        (dict(activity_l1=0.1), "activity_l1=0.1: must be 0 with IBP"),
    ],
)
def test_refuses(given, words):
    with pytest.raises(InputError, match=words):
        IBP(**given)
