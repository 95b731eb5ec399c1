"""Adversarial weight perturbation: by hand, and within the train step."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import ATTACKS, FGSM_ATTACK, PGD_ATTACK, values

from robust_sparse_tf import sparsify
from robust_sparse_tf.sparsity import Magnitude, masked_weights
from robust_sparse_tf.training import AdversarialModel, StepOptions, devices
from robust_sparse_tf.training.objectives import Adversarial, Mart, Mixed, Trades
from robust_sparse_tf.training.weight_perturbation import WeightPerturbation

layers = keras.layers
GAMMA = 0.05


def two_layers() -> keras.Model:
    return keras.Sequential([layers.Input((2,)), layers.Dense(2), layers.Dense(2)])


def test_two_layers_by_hand():
    """Lengths of kernels and of gradients are whole numbers here."""
    sparse = sparsify(two_layers(), Magnitude(0.75))
    first, second = masked_weights(sparse)
    first.mask.assign([[1, 1], [1, 0]])
    first.weight.assign([[2.0, -2.0], [1.0, 0.0]])  # of length 3
    second.mask.assign([[1, 1], [1, 1]])
    second.weight.assign([[3.0, 4.0], [0.0, 0.0]])  # of length 5
    variables = sparse.trainable_variables
    gradients = {
        first.weight.ref(): [[6.0, 0.0], [-8.0, 100.0]],  # of length 10 where there are weights
        second.weight.ref(): [[0.0, 0.0], [0.0, -2.0]],  # of length 2
    }
    part = [
        tf.constant(gradients.get(v.ref(), 7 * np.ones(v.shape)), tf.float32) for v in variables
    ]
    before = values(sparse)
    perturbation = WeightPerturbation(sparse, variables, gamma=0.5, start=0)
    kept = perturbation.add([part, [0.0 * each for each in part]], tf.constant(0, tf.int64))
    # v = gamma |w| g / |g|: 0.5 x 3 / 10 x g, and 0.5 x 5 / 2 x g
    np.testing.assert_allclose(first.weight, [[2.9, -2.0], [-0.2, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(second.weight, [[3.0, 4.0], [0.0, -2.5]], rtol=1e-6)
    perturbation.remove(kept)
    np.testing.assert_equal(values(sparse), before)


def test_a_gradient_of_zero_moves_nothing():
    network = two_layers()
    before = values(network)
    zeros = [tf.zeros_like(variable) for variable in network.trainable_variables]
    perturbation = WeightPerturbation(network, network.trainable_variables, 0.5, 0)
    perturbation.add([zeros], tf.constant(0, tf.int64))
    np.testing.assert_equal(values(network), before)


def normalised() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    return sparsify(model, Magnitude(0.5))


def model_with(network, attack, objective, branches=1, **options):
    step_options = StepOptions(**options)
    model = AdversarialModel(
        network, attack, objective, seed=5, branches=branches, step_options=step_options
    )
    model.compile(keras.optimizers.SGD(1.0), jit_update=False)
    return model


def loss_of(network, attack, objective, x, y, adversarial):
    clean = network(x, training=True)
    if attack is None:
        return tf.reduce_mean(objective.example_losses(y, clean))
    found = network(adversarial, training=True)
    if isinstance(objective, Trades | Mart):
        return tf.reduce_mean(objective.losses(y, clean, found))
    return tf.reduce_mean(
        objective.mix(objective.example_losses(y, clean), objective.example_losses(y, found))
    )


def reference(network, attack, objective, x, y):
    """The gradient at the perturbed weights, written out; changes running averages once."""
    own = objective.training_attack(attack)
    adversarial = own and own(lambda inputs: network(inputs, training=False), x, y, seed=(5, 0))
    variables = network.trainable_variables
    masks = {entry.weight.ref(): entry.mask for entry in masked_weights(network)}
    state = [variable.numpy() for variable in network.non_trainable_variables]
    for again in (False, True):
        with tf.GradientTape() as tape:
            loss = loss_of(network, own, objective, x, y, adversarial)
        gradients = tape.gradient(loss, variables)
        gradients = [g * masks.get(v.ref(), 1.0) for g, v in zip(gradients, variables, strict=True)]
        if not again:
            before = [variable.numpy() for variable in variables]
            for variable, gradient in zip(variables, gradients, strict=True):
                if variable.shape.rank > 1:
                    size = GAMMA * tf.norm(variable) / tf.norm(gradient)
                    variable.assign_add(size * gradient)
            for variable, value in zip(network.non_trainable_variables, state, strict=True):
                variable.assign(value)
    return [b - g.numpy() for b, g in zip(before, gradients, strict=True)]


@pytest.mark.parametrize(
    ("make", "attack", "objective"),
    [
        ("lenet", FGSM_ATTACK, Mixed(clean_weight=0.3)),
        (normalised, PGD_ATTACK, Adversarial()),
        (normalised, PGD_ATTACK, Trades()),
        ("lenet", PGD_ATTACK, Mart()),
        ("lenet", None, Mixed()),
    ],
)
def test_gradient_is_that_of_perturbed_weights(make, attack, objective, make_lenet, batch):
    ours, theirs = ((make_lenet if make == "lenet" else make)() for _ in range(2))
    expected = reference(theirs, attack, objective, *batch)
    model = model_with(ours, attack, objective, weight_perturbation=GAMMA)
    model.train_on_batch(*batch)
    for variable, wanted in zip(ours.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, wanted, atol=5e-5, err_msg=variable.name)
    for own, other in zip(
        ours.non_trainable_variables, theirs.non_trainable_variables, strict=True
    ):
        if own.shape.rank:  # running averages and masks; others count steps
            np.testing.assert_allclose(own, other, atol=1e-5)


@pytest.mark.parametrize("objective", [Mixed(), Trades()])
def test_nothing_remains_after_the_step(objective, make_lenet, batch):
    """At rate 0 the weights are what they were, bit for bit, with zeros in place."""
    network = make_lenet()
    before = values(network)
    model = AdversarialModel(
        network, PGD_ATTACK, objective, step_options=StepOptions(weight_perturbation=GAMMA)
    )
    model.compile(keras.optimizers.SGD(0.0), jit_update=False)
    model.train_on_batch(*batch)
    for own, start in zip(values(network), before, strict=True):
        if own.ndim:
            np.testing.assert_array_equal(own, start)


def after_steps(steps, make_lenet, batch, **options):
    model = model_with(make_lenet(), ATTACKS["pgd_random"], Mixed(), **options)
    for _ in range(steps):
        model.train_on_batch(*batch)
    return values(model.network)


def test_before_its_start_it_changes_no_bit(make_lenet, batch):
    options = dict(weight_perturbation=GAMMA, perturbation_start=1)
    np.testing.assert_equal(
        after_steps(1, make_lenet, batch, **options), after_steps(1, make_lenet, batch)
    )
    later, plain = after_steps(2, make_lenet, batch, **options), after_steps(2, make_lenet, batch)
    assert any(np.any(a != b) for a, b in zip(later, plain, strict=True))


def test_branches(make_lenet, batch):
    one, two = (
        after_steps(1, make_lenet, batch, branches=branches, weight_perturbation=GAMMA)
        for branches in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_several_devices(make_lenet, batch):
    """Replicas perturb alike, by the gradient of the whole batch, and remove it again."""
    data = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch[1]))
    results = []
    for scope in (devices.strategy("mirrored").scope(), contextlib.nullcontext()):
        with scope:
            model = model_with(make_lenet(), FGSM_ATTACK, Mixed(), weight_perturbation=GAMMA)
        model.fit(data, epochs=2, verbose=0)
        results.append(values(model.network))
    for own, other in zip(*results, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
