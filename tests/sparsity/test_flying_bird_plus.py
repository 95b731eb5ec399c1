import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from dynamic_networks import state

from robust_sparse_tf.sparsity import FlyingBirdPlus, densities, masked_weights, sparsify

FEEDBACKS = list(itertools.product([0.0, 1.0], repeat=2))


@pytest.mark.parametrize("grow, drop", FEEDBACKS)
def test_numbers(grow, drop):
    """Published settings: 5 % more growth, 40 % more drop, each beyond the layer's number."""
    method = FlyingBirdPlus(drop_fraction=0.5)
    layers = [state(200), state(40)]
    drops = method.drops(layers, tf.constant(1, tf.int64))
    assert [int(number) for number in drops] == [100, 20]
    numbers = method.numbers(layers, drops, tf.constant([grow, drop]))
    expected = [(140 if drop else 100, 105 if grow else 100), (28 if drop else 20, 20 + grow)]
    assert [(int(a), int(b)) for a, b in numbers] == expected


@pytest.mark.parametrize("grow, drop", FEEDBACKS)
def test_changes_have_those_numbers(grow, drop):
    method = FlyingBirdPlus(drop_fraction=0.5)
    layer = state(200)
    change = method.change([layer], tf.constant(1, tf.int64), tf.constant([grow, drop]))[0]
    kept, grown = change.kept.numpy(), change.grown.numpy()
    assert kept.sum() == 200 - (140 if drop else 100)
    assert grown.sum() == (105 if grow else 100)
    active, magnitude = layer.active.numpy(), np.abs(layer.weight)
    assert not np.any(kept & ~active) and not np.any(kept & grown)
    assert magnitude[kept].min() > magnitude[active & ~kept].max()
    worth = np.abs(layer.gradient)
    assert worth[grown].min() > worth[~grown & ~kept].max()


@pytest.mark.parametrize("active, grow, drop", [(1, 0, 1), (3, 0, 1), (400, 1, 0), (399, 1, 0)])
def test_a_layer_never_dies_or_overflows(active, grow, drop):
    method = FlyingBirdPlus(drop_fraction=1.0, extra_drop=2.0, extra_growth=2.0)
    feedback = tf.constant([float(grow), float(drop)])
    change = method.change([state(active)], tf.constant(1, tf.int64), feedback)[0]
    kept, grown = change.kept.numpy(), change.grown.numpy()
    assert kept.sum() >= 1 and not np.any(kept & grown)
    assert (kept | grown).sum() == (min(3 * active + 1, 400) if grow else active + kept.sum())


@pytest.mark.parametrize("grow, drop", FEEDBACKS)
def test_a_full_layer_only_thins(grow, drop):
    """Nothing is swapped in it: a weight that goes would come back at zero."""
    layer = state(400)
    change = FlyingBirdPlus().change([layer], tf.constant(1, tf.int64), tf.constant([grow, drop]))[
        0
    ]
    dropped, grown = (80 if drop else 0), (10 if grow and drop else 0)
    assert (400 - np.sum(change.kept), np.sum(change.grown)) == (dropped, grown)


@pytest.mark.parametrize("grow, drop", FEEDBACKS)
def test_density_follows_the_feedback(grow, drop):
    """In training, from the model's variable; two updates of 0.5 x 0.05 and 0.5 x 0.4 each."""
    keras.utils.set_random_seed(0)
    dense = keras.Sequential(
        [keras.layers.Input((40,)), keras.layers.Dense(50, "tanh"), keras.layers.Dense(20)]
    )
    model = sparsify(dense, FlyingBirdPlus(0.2, update_interval=2))
    model.compile("sgd", "mse", run_eagerly=not (grow and drop))
    model.feedback.assign([grow, drop])
    x = np.random.default_rng(0).normal(size=(8, 40))
    density = [densities(model)[0]]
    for _ in range(5):
        model.train_on_batch(x, x[:, :20])
        density.append(densities(model)[0])
    assert density[0] == density[1] == density[2] == pytest.approx(0.2)
    factor = 1 + 0.5 * (0.05 * grow - 0.4 * drop)
    assert density[3] == density[4] == pytest.approx(0.2 * factor, abs=1e-3)
    assert density[5] == pytest.approx(0.2 * factor**2, abs=2e-3)
    for entry in masked_weights(model):
        assert np.all(entry.weight.numpy()[entry.mask.numpy() == 0] == 0)


@pytest.mark.parametrize(
    "losses, gaps, expected",
    [
        ([], [], (0, 0)),
        ([1.0], [0.1], (0, 0)),
        ([1.0, 0.9, 0.8], [0.1, 0.1, 0.1], (0, 0)),
        ([1.0, 1.0], [0.1, 0.2], (1, 1)),
        ([1.0, 1.1, 1.0], [0.3, 0.2, 0.1], (1, 0)),
        ([1.0, 1.1, 1.0, 0.9], [0.1, 0.2, 0.3, 0.2], (0, 1)),
        ([5.0, 6, 7, 8, 9, 8, 7, 6, 5], [0.5, 0.6, 0.7, 0.8, 0.9, 0.8, 0.7, 0.6, 0.5], (0, 0)),
        ([9.0, 8, 7, 6, 5, 6, 7, 6, 5], [0.5, 0.4, 0.3, 0.2, 0.1, 0.2, 0.3, 0.2, 0.1], (1, 1)),
    ],
)
def test_feedback_compares_the_last_validations(losses, gaps, expected):
    """Of the last four, half must agree."""
    assert FlyingBirdPlus().feedback_from(losses, gaps) == expected
