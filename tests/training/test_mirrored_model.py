"""Adversarial training on two replicas: the step of one device, the same weights on both."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import ATTACKS, RANDOM, ZeroCheck, local, robust, values

from robust_sparse_tf.sparsity import Magnitude, masked_weights
from robust_sparse_tf.training import devices


@pytest.fixture(scope="module")
def mirrored():
    """Two replicas on the two logical CPUs of these tests."""
    return devices.strategy("mirrored")


@pytest.mark.parametrize(
    "attack",
    [
        "pgd_random",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("natural", "fgsm", "pgd_predicted")),
    ],
)
def test_mirrored_step_is_the_step_of_one_device(attack, mirrored, make_lenet, digits):
    """The replicas share the global batch and the random start between them."""
    one = robust(make_lenet(), ATTACKS[attack])
    with mirrored.scope():
        two = robust(make_lenet(), ATTACKS[attack], jit_update=None)
    np.testing.assert_equal(two.network.get_weights(), one.network.get_weights())
    before = one.network.get_weights()
    histories = [
        model.fit(digits[0], epochs=1, steps_per_epoch=1, verbose=0).history for model in (one, two)
    ]
    for start, a, b in zip(before, values(one.network), two.network.variables, strict=True):
        for copy in local(b):
            np.testing.assert_allclose(copy, a, rtol=0, atol=1e-5)
        assert a.ndim < 2 or "mask" in b.name or np.abs(a - start).max() > 1e-4
    for name, value in histories[0].items():
        assert histories[1][name] == pytest.approx(value, abs=1e-5)
    assert two.step.numpy() == 1


def test_mirrored_masks_and_zeros(mirrored, make_lenet, digits):
    """Both replicas hold the same masks and the same weights, zero where they are pruned."""
    with mirrored.scope():
        model = robust(make_lenet(), RANDOM, optimizer=keras.optimizers.AdamW(1e-2))
    Magnitude(0.2).prune(model.network)
    check = ZeroCheck()
    model.fit(
        digits[0],
        epochs=1,
        steps_per_epoch=4,
        validation_data=digits[1],
        verbose=0,
        callbacks=[check],
    )
    assert check.steps == 4
    for _, weight, mask, *_ in masked_weights(model.network):
        for variable in (weight, mask):
            assert len(local(variable)) == 2
            np.testing.assert_array_equal(*local(variable))
        assert set(np.unique(mask)) == {0.0, 1.0}
    assert model.nonfinite_step.numpy() == -1


def test_mirrored_batch_smaller_than_the_replicas(mirrored, make_lenet, batch):
    """The last batch of a data set may leave a replica without any image."""
    with mirrored.scope():
        model = robust(make_lenet(), RANDOM)
    data = tf.data.Dataset.from_tensor_slices(batch).take(9).batch(8)
    model.fit(data, epochs=1, verbose=0)
    assert model.step.numpy() == 2 and model.nonfinite_step.numpy() == -1
    for variable in model.network.trainable_variables:
        for copy in local(variable):
            assert np.isfinite(copy).all()


def test_mirrored_notes_what_is_not_finite(mirrored, make_lenet, batch):
    """Even where it is in the part of a replica that is not the first."""
    with mirrored.scope():
        model = robust(make_lenet())
    x = np.array(batch[0])
    x[-1] = np.finfo(np.float32).max
    model.fit(tf.data.Dataset.from_tensor_slices((x, batch[1])).batch(16), verbose=0)
    assert model.nonfinite_step.numpy() == 0
