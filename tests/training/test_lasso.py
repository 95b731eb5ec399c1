"""Robust sparse regularization: the lasso's gradient, and what it reaches."""

import numpy as np
import pytest
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, robust, values

from robust_sparse_tf import sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude, RigL, masked_weights
from robust_sparse_tf.training.objectives import RSR, Mixed

layers = keras.layers
WEIGHT = 0.25


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def after_a_step(sparse, objective, batch, **compiled):
    optimizer = keras.optimizers.SGD(1.0)
    model = robust(sparse, FGSM_ATTACK, objective, optimizer=optimizer, **compiled)
    model.train_on_batch(*batch)
    return values(sparse)


@pytest.mark.parametrize("compiled", [{}, {"jit_update": True}, {"run_eagerly": True}])
def test_gradient_is_the_sign(compiled, batch):
    """Of kernels alone, and 0 where a weight is 0: at rate 1 it is what a step moves further."""
    sparse = sparsify(network(), Magnitude(0.5))
    before = {variable.name: variable.numpy() for variable in sparse.trainable_variables}
    plain = sparsify(network(), Magnitude(0.5))
    after_a_step(plain, Mixed(), batch, **compiled)
    after_a_step(sparse, RSR(weight_l1=WEIGHT), batch, **compiled)
    pairs = zip(plain.trainable_variables, sparse.trainable_variables, strict=True)
    for (name, start), (one, other) in zip(before.items(), pairs, strict=True):
        expected = WEIGHT * np.sign(start) if start.ndim > 1 else np.zeros_like(start)
        np.testing.assert_allclose(one.numpy() - other.numpy(), expected, atol=1e-5, err_msg=name)
        if start.ndim > 1:
            assert np.any(start == 0)
            np.testing.assert_array_equal(other.numpy()[start == 0], 0)


def test_growth_does_not_see_it(batch):
    """At rate 0 the weights are equal, and RigL grows the same ones, bit for bit."""
    masks = []
    for objective in (Mixed(), RSR(weight_l1=10.0)):
        sparse = sparsify(network(), RigL(0.3, update_interval=1, stop_step=5))
        frozen = keras.optimizers.SGD(0.0)
        model = robust(sparse, FGSM_ATTACK, objective, optimizer=frozen, run_eagerly=True)
        before = [entry.mask.numpy() for entry in masked_weights(sparse)]
        for _ in range(2):  # the masks change in the second step
            model.train_on_batch(*batch)
        masks.append([entry.mask.numpy() for entry in masked_weights(sparse)])
        assert any(np.any(a != b) for a, b in zip(masks[-1], before, strict=True))
    np.testing.assert_equal(masks[1], masks[0])


@pytest.mark.parametrize("compiled", [{}, {"jit_update": True}])
def test_it_changes_with_the_objective(compiled, batch):
    """`train_with` another objective ends the lasso, and brings it back, in compiled steps, too."""
    models = [
        robust(
            sparsify(network(), Magnitude(0.5)),
            FGSM_ATTACK,
            RSR(weight_l1=WEIGHT),
            optimizer=keras.optimizers.SGD(0.01),
            **compiled,
        )
        for _ in range(2)
    ]
    lasso = RSR(weight_l1=WEIGHT)
    for step, objectives in enumerate([(lasso, lasso), (lasso, Mixed()), (lasso, lasso)]):
        starts = [[value.numpy() for value in m.trainable_variables] for m in models]
        if step == 2:  # from equal weights again
            models[1].network.set_weights(models[0].network.get_weights())
        for model, objective in zip(models, objectives, strict=True):
            if step:
                model.train_with(FGSM_ATTACK, objective)
            model.train_on_batch(*batch)
        pairs = zip(*(m.trainable_variables for m in models), starts[0], strict=True)
        for one, other, start in pairs:
            penalty = 0.01 * WEIGHT * np.sign(start) if step == 1 and start.ndim > 1 else 0
            np.testing.assert_allclose(other.numpy() - one.numpy(), penalty, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, -1e-5, float("nan"), True])
def test_refused(weight):
    with pytest.raises(InputError, match=f"^weight_l1={weight}: must be"):
        RSR(weight_l1=weight)
