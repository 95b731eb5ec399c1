"""Averaged weights."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, values

from robust_sparse_tf import sparsify
from robust_sparse_tf.sparsity import SET, Magnitude, masked_weights
from robust_sparse_tf.training import AdversarialModel, StepOptions, devices

layers = keras.layers
DECAY = 0.75


def normalised(method) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(12, activation="relu"),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(10),
        ]
    )
    return sparsify(model, method)


def model_with(method=None, average=DECAY, **compiled):
    options = StepOptions(average=average)
    network = normalised(method or Magnitude(0.5))
    model = AdversarialModel(network, FGSM_ATTACK, step_options=options)
    model.compile(keras.optimizers.SGD(0.5), jit_update=False, **compiled)
    return model


def averaged_values(network):
    (norm,) = (each for each in network.layers if isinstance(each, layers.BatchNormalization))
    return [
        variable.numpy()
        for variable in [*network.trainable_variables, norm.moving_mean, norm.moving_variance]
    ]


def test_averages_after_each_step(batch):
    model = model_with()
    expected = averaged_values(model.network)
    for _ in range(3):
        model.train_on_batch(*batch)
        now = averaged_values(model.network)
        expected = [DECAY * e + (1 - DECAY) * n for e, n in zip(expected, now, strict=True)]
        for average, wanted in zip(model.averages.variables, expected, strict=True):
            np.testing.assert_allclose(average, wanted, rtol=1e-5, atol=1e-6)
    assert any(np.any(e != n) for e, n in zip(expected, now, strict=True))


def test_weights_that_train_are_not_changed(batch):
    results = []
    for average in (None, DECAY):
        model = model_with(average=average)
        for _ in range(2):
            model.train_on_batch(*batch)
        results.append(values(model.network))
    np.testing.assert_equal(*results)


def test_averages_are_masked_whenever_masks_change(batch):
    model = model_with(SET(0.3, update_interval=1, stop_step=5))
    masks = []
    for _ in range(3):
        model.train_on_batch(*batch)
        masks.append([entry.mask.numpy() for entry in masked_weights(model.network)])
        with model.averaged():
            for entry in masked_weights(model.network):
                assert np.all(entry.weight.numpy()[entry.mask.numpy() == 0] == 0)
                assert np.any(entry.weight.numpy() != 0)
    assert any(np.any(a != b) for a, b in zip(masks[0], masks[-1], strict=True))


def test_the_network_has_them_in_the_context(batch):
    model = model_with()
    for _ in range(2):
        model.train_on_batch(*batch)
    before = values(model.network)
    with model.averaged():
        for own, average in zip(
            averaged_values(model.network), model.averages.variables, strict=True
        ):
            np.testing.assert_array_equal(own, average)
    np.testing.assert_equal(values(model.network), before)
    with pytest.raises(KeyError), model.averaged():
        raise KeyError
    np.testing.assert_equal(values(model.network), before)


def test_without_averages_the_context_does_nothing(batch):
    model = model_with(average=None)
    before = values(model.network)
    with model.averaged():
        np.testing.assert_equal(values(model.network), before)


def test_restart(batch):
    model = model_with()
    model.train_on_batch(*batch)
    model.averages.restart()
    for own, average in zip(averaged_values(model.network), model.averages.variables, strict=True):
        np.testing.assert_array_equal(own, average)


def test_saved(tmp_path, batch):
    model = model_with()
    model.train_on_batch(*batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.step_options.average == DECAY
    for own, other in zip(model.averages.variables, loaded.averages.variables, strict=True):
        np.testing.assert_array_equal(own, other)


def test_several_devices(make_lenet, batch):
    """Averages are equal on each, and those of one device."""
    data = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch[1]))
    results = []
    for scope in (devices.strategy("mirrored").scope(), contextlib.nullcontext()):
        with scope:
            options = StepOptions(average=DECAY)
            model = AdversarialModel(make_lenet(), FGSM_ATTACK, step_options=options)
            model.compile(keras.optimizers.SGD(0.5), jit_update=False)
        model.fit(data, epochs=2, verbose=0)
        results.append([average.numpy() for average in model.averages.variables])
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
