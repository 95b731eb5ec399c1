import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf import models
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.data import Split
from robust_sparse_tf.evaluation import Evaluator
from robust_sparse_tf.training import Mixed

ATTACKS = {
    "fgsm": FGSM(epsilon=0.1),
    "pgd": PGD(epsilon=0.1, step_size=0.03, steps=4, attack_labels="predicted"),
}
RANDOM = PGD(epsilon=0.3, step_size=0.1, steps=2, random_start=True)


def evaluate(model, split, attacks, seed=0) -> dict:
    return Evaluator(model, attacks, seed=seed)(split)


@pytest.fixture(scope="module")
def of_train(trained, digits) -> dict:
    """What is measured on the 1,198 training images."""
    return Evaluator(trained, ATTACKS)(digits[0])


@pytest.mark.parametrize(
    "objective, part",  # of 1,198 images, more than are measured at once, and 239
    [
        (Mixed(), 1),
        (Mixed(label_smoothing=0.2), 0),
        pytest.param(Mixed(), 0, marks=pytest.mark.slow),
        pytest.param(Mixed(label_smoothing=0.2), 1, marks=pytest.mark.slow),
    ],
)
def test_figures_are_means_over_all_examples(part, objective, trained, digits):
    split = digits[part]
    found = Evaluator(trained, ATTACKS, objective)(split)

    x, y = split.gather(tf.range(split.size, dtype=tf.int64))
    inputs = {name: attack(trained.network, x, y) for name, attack in ATTACKS.items()}
    logits = {name: trained.network(images) for name, images in {"clean": x, **inputs}.items()}
    losses = {name: np.mean(objective.example_losses(y, value)) for name, value in logits.items()}
    accuracies = {name: np.mean(np.argmax(value, axis=1) == y) for name, value in logits.items()}
    assert set(found) == {"clean_loss", "clean_accuracy", "robust_loss", "robust_accuracy"}
    assert found["clean_loss"] == pytest.approx(losses.pop("clean"), rel=1e-4)
    assert found["clean_accuracy"] == accuracies.pop("clean")
    assert found["robust_loss"] == pytest.approx(losses, rel=1e-4)
    assert found["robust_accuracy"] == accuracies
    assert found["clean_accuracy"] > 0.8 > found["robust_accuracy"]["pgd"]


def test_dense_models_and_functions_are_evaluated_too(digits):
    dense = models.lenet_300_100((8, 8, 1))
    of_model = evaluate(dense, digits[1], ATTACKS)
    assert evaluate(lambda x: dense(x), digits[1], ATTACKS) == of_model
    assert of_model["clean_accuracy"] == np.mean(
        np.argmax(dense(digits[1].images), axis=1) == digits[1].labels
    )
    assert set(of_model["robust_accuracy"]) == set(ATTACKS)


@pytest.mark.parametrize("branches", [2, 3])
def test_branches_change_nothing(branches, of_train, trained, digits):
    one = of_train
    more = Evaluator(trained, ATTACKS, branches=branches)(digits[0])
    assert more["clean_accuracy"] == one["clean_accuracy"]
    assert more["robust_accuracy"] == one["robust_accuracy"]
    assert more["clean_loss"] == pytest.approx(one["clean_loss"], rel=1e-5)


@pytest.mark.parametrize("batch_size", [7, 1198])
def test_batches_change_nothing(batch_size, of_train, trained, digits):
    """The default, 500, is one that fits."""
    found = Evaluator(trained, ATTACKS, batch_size=batch_size)(digits[0])
    for name in ("clean_accuracy", "robust_accuracy"):
        assert found[name] == of_train[name]
    for name in ("clean_loss", "robust_loss"):
        assert found[name] == pytest.approx(of_train[name], rel=1e-5)


def test_fewer_images_than_branches(trained, digits):
    split = Split(digits[1].images[:2], digits[1].labels[:2], num_classes=10, batch_size=2)
    attacks = {"fgsm": ATTACKS["fgsm"]}
    one, more = (Evaluator(trained, attacks, branches=count)(split) for count in (1, 5))
    assert more["clean_loss"] == pytest.approx(one["clean_loss"], rel=1e-5)


def test_epsilon_0_is_clean(trained, digits):
    found = evaluate(trained, digits[1], {"nothing": FGSM(epsilon=0.0)})
    assert found["robust_accuracy"]["nothing"] == found["clean_accuracy"]
    assert found["robust_loss"]["nothing"] == found["clean_loss"]


def test_no_attacks(trained, digits):
    found = Evaluator(trained)(digits[1])
    assert found["robust_accuracy"] == found["robust_loss"] == {}
    assert found["clean_accuracy"] > 0.8


def test_seed_decides_on_random_starts(trained, digits):
    first, again, other = (
        evaluate(trained, digits[1], {"pgd": RANDOM}, seed=seed) for seed in (1, 1, 2)
    )
    assert again == first
    assert other["robust_loss"] != first["robust_loss"]
    assert other["clean_loss"] == first["clean_loss"]


def test_stronger_attacks_leave_less(trained, digits):
    """Accuracy falls with epsilon, and a large one leaves nothing."""
    attacks = {str(epsilon): FGSM(epsilon=epsilon) for epsilon in (0.0, 0.05, 0.1, 0.2)}
    attacks["all"] = PGD(epsilon=1.0, step_size=0.1, steps=20)
    accuracies = list(evaluate(trained, digits[2], attacks)["robust_accuracy"].values())
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[-1] == 0


def test_measures_the_model_as_it_is_now_and_traces_it_once(digits):
    """An evaluator sees later weights, without another trace for each measurement."""
    network, traces = models.lenet_300_100((8, 8, 1)), []

    def logits(x):
        traces.append(x.shape)
        return network(x)

    measure = Evaluator(logits, {"fgsm": FGSM(epsilon=0.1)})
    first, count = measure(digits[1]), len(traces)
    assert measure(digits[1]) == first
    for weight in network.trainable_variables:
        weight.assign(-weight)
    assert measure(digits[1])["clean_loss"] != first["clean_loss"]
    assert len(traces) == count


def test_changes_no_variable(trained, digits):
    before = [variable.numpy() for variable in trained.variables]
    evaluate(trained, digits[1], ATTACKS)
    np.testing.assert_equal([variable.numpy() for variable in trained.variables], before)


def test_attacks_of_an_evaluator_are_its_own(trained, digits):
    """Changing the mapping afterwards changes nothing."""
    attacks = {"fgsm": FGSM(epsilon=0.1)}
    measure = Evaluator(trained, attacks)
    attacks["fgsm"] = dataclasses.replace(attacks["fgsm"], epsilon=0.0)
    found = measure(digits[1])
    assert found["robust_accuracy"]["fgsm"] < found["clean_accuracy"]
