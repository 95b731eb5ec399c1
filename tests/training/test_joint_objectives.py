"""TRADES and MART: their formulas, and a step of each."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import ATTACKS, FGSM_ATTACK, PGD_ATTACK, robust, sgd, values

from robust_sparse_tf import models
from robust_sparse_tf.attacks import BIM, RandomIntensity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.objectives import Adversarial, Mart, Trades

RNG = np.random.default_rng(1)
LABELS = np.array([0, 2, 1, 2])
CLEAN, ADVERSARIAL = (RNG.normal(size=(4, 3)).astype("float32") * 2 for _ in range(2))


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def trades(clean, adversarial, beta):
    p, q = softmax(clean), softmax(adversarial)
    own = -np.log(p[range(len(p)), LABELS])
    return own + beta * (p * np.log(p / q)).sum(axis=1)


def mart(clean, adversarial, beta):
    p, q = softmax(clean), softmax(adversarial)
    rows = range(len(p))
    others = q.copy()
    others[rows, LABELS] = 0
    boosted = -np.log(q[rows, LABELS]) - np.log(1 - others.max(axis=1))
    return boosted + beta * (p * np.log(p / q)).sum(axis=1) * (1 - p[rows, LABELS])


CASES = [(Trades(beta=3.0), trades, 3), (Mart(beta=2.0), mart, 2)]
CASES += [(Trades(), trades, 6), (Mart(), mart, 5)]  # the papers' values


@pytest.mark.parametrize(("objective", "formula", "beta"), CASES)
def test_losses_are_the_formulas(objective, formula, beta):
    losses = objective.losses(LABELS, tf.constant(CLEAN), tf.constant(ADVERSARIAL))
    assert losses.shape == [4] and losses.dtype == tf.float32
    np.testing.assert_allclose(losses, formula(CLEAN, ADVERSARIAL, beta), rtol=1e-5)


@pytest.mark.parametrize("objective", [Trades(), Mart()])
def test_equal_predictions_have_no_divergence(objective):
    with_beta = objective.losses(LABELS, CLEAN, CLEAN)
    without = dataclasses.replace(objective, beta=0.0).losses(LABELS, CLEAN, CLEAN)
    np.testing.assert_allclose(with_beta, without, atol=1e-5)


@pytest.mark.parametrize("objective", [Trades(), Mart()])
@pytest.mark.parametrize("scale", [0.0, 30.0, 1e3])
def test_losses_and_gradients_are_finite(objective, scale):
    """Where one class has all the probability, right or wrong."""
    clean, adversarial = tf.Variable(scale * CLEAN), tf.Variable(-scale * CLEAN)
    with tf.GradientTape() as tape:
        losses = objective.losses(LABELS, clean, adversarial)
    gradients = tape.gradient(losses, [clean, adversarial])
    assert np.all(np.isfinite(losses)) and np.all(np.isfinite(gradients))


@pytest.mark.parametrize(("objective", "formula", "beta"), CASES[:2])
def test_equal_to_torch(objective, formula, beta):
    """Losses and gradients of the published code's form, on equal logits."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    clean, adversarial = (torch.tensor(each, requires_grad=True) for each in (CLEAN, ADVERSARIAL))
    labels = torch.tensor(LABELS)
    divergence = functional.kl_div(
        functional.log_softmax(adversarial, dim=1),
        functional.softmax(clean, dim=1),
        reduction="none",
    ).sum(dim=1)
    if formula is trades:
        theirs = functional.cross_entropy(clean, labels, reduction="none") + beta * divergence
    else:
        probabilities = functional.softmax(adversarial, dim=1)
        ordered = torch.argsort(probabilities, dim=1)[:, -2:]
        other = torch.where(ordered[:, -1] == labels, ordered[:, -2], ordered[:, -1])
        largest = probabilities.gather(1, other[:, None])[:, 0]
        boosted = functional.cross_entropy(adversarial, labels, reduction="none")
        true = functional.softmax(clean, dim=1).gather(1, labels[:, None])[:, 0]
        theirs = boosted - torch.log(1 - largest) + beta * divergence * (1 - true)
    theirs.sum().backward()
    ours = [tf.Variable(each) for each in (CLEAN, ADVERSARIAL)]
    with tf.GradientTape() as tape:
        losses = objective.losses(LABELS, *ours)
    np.testing.assert_allclose(losses, theirs.detach().numpy(), rtol=1e-5)
    for own, other in zip(tape.gradient(losses, ours), (clean, adversarial), strict=True):
        np.testing.assert_allclose(own, other.grad.numpy(), atol=1e-5)


def reference_step(network, attack, objective, x, y):
    """A step with one tape, written out; returns the loss and the adversarial logits."""
    adversarial = attack(lambda inputs: network(inputs, training=False), x, y, seed=(5, 0))
    with tf.GradientTape() as tape:
        clean, found = network(x, training=True), network(adversarial, training=True)
        loss = tf.reduce_mean(objective.losses(y, clean, found))
    gradients = tape.gradient(loss, network.trainable_variables)
    masks = {entry.weight.ref(): entry.mask for entry in masked_weights(network)}
    pairs = zip(gradients, network.trainable_variables, strict=True)
    sgd().apply_gradients([(g * masks.get(v.ref(), 1.0), v) for g, v in pairs])
    return float(loss), found


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("objective", [Trades(), Mart()])
def test_one_step_is_the_reference_step(objective, branches, make_lenet, batch):
    ours, theirs, (x, y) = make_lenet(), make_lenet(), batch
    before = values(ours)
    attack = objective.training_attack(ATTACKS["pgd_random"])
    loss, found = reference_step(theirs, attack, objective, x, y)
    model = robust(ours, ATTACKS["pgd_random"], objective, branches=branches, metrics=["accuracy"])
    logs = model.train_on_batch(x, y, return_dict=True)
    names = [variable.name for variable in ours.trainable_variables]
    for name, mine, its in zip(
        names, ours.trainable_variables, theirs.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(mine, its, rtol=0, atol=2e-5, err_msg=name)
    assert max(np.abs(a - b).max() for a, b in zip(values(ours), before, strict=True)) > 1e-3
    assert logs["loss"] == pytest.approx(loss, abs=1e-5)
    assert logs["robust_accuracy"] == np.mean(np.argmax(found, 1) == y)


@pytest.mark.parametrize("objective", [Trades(), Mart()])
def test_evaluate(objective, make_lenet, batch):
    network, (x, y) = make_lenet(), batch
    model = robust(network, PGD_ATTACK, objective, metrics=["accuracy"], run_eagerly=True)
    logs = model.test_on_batch(x, y, return_dict=True)
    attack = objective.training_attack(PGD_ATTACK)
    clean, found = network(x), network(attack(network, x, y, seed=(5, 0)))
    assert logs["loss"] == pytest.approx(np.mean(objective.losses(y, clean, found)), rel=1e-5)
    assert logs["robust_accuracy"] == np.mean(np.argmax(found, 1) == y)


@pytest.mark.parametrize("objective", [Trades(), Mart()])
def test_sample_weights(objective, make_lenet, batch):
    """A weight of 0 is a step without the image; one of 2 counts it twice."""
    x, y = batch
    weights = np.ones(len(y), np.float32)
    weights[0], weights[1] = 0, 2
    model = robust(make_lenet(), PGD_ATTACK, objective, run_eagerly=True)
    weighted = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)["loss"]
    attack = objective.training_attack(PGD_ATTACK)
    network = make_lenet()
    found = attack(network, x, y, seed=(5, 0))
    losses = objective.losses(y, network(x), network(found)).numpy()
    assert weighted == pytest.approx(np.mean(weights * losses), rel=1e-3)


def test_training_attack_of_trades():
    assert Trades().training_attack(PGD_ATTACK) == dataclasses.replace(PGD_ATTACK, loss="kl")
    random = RandomIntensity(attack=PGD_ATTACK)
    assert Trades().training_attack(random).attack.loss == "kl"
    assert Mart().training_attack(FGSM_ATTACK) == FGSM_ATTACK
    assert Trades().training_attack(BIM()).loss == "kl"


@pytest.mark.parametrize(
    ("objective", "attack", "words"),
    [
        (Trades(), None, "attack=None: must be an attack with Trades"),
        (Mart(), None, "attack=None: must be an attack with Mart"),
        (Trades(), FGSM_ATTACK, "must be PGD with Trades"),
        (Adversarial(), None, "attack=None: must be an attack with Adversarial"),
    ],
)
def test_refused(objective, attack, words):
    network = models.lenet_300_100((8, 8, 1))
    with pytest.raises(InputError, match=words) as caught:
        AdversarialModel(network, attack, objective)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("objective", [Trades(beta=2.0), Mart(activity_l1=1e-5)])
def test_saved(objective, tmp_path):
    model = robust(models.lenet_300_100((8, 8, 1)), PGD_ATTACK, objective)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").objective == objective
