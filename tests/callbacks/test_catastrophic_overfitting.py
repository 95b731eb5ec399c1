"""Training against one step that learns the step alone is told of; other training is not."""

import os
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import data, models
from robust_sparse_tf.attacks import FGSM, MIM, PGD, RandomIntensity
from robust_sparse_tf.callbacks import CatastrophicOverfitting
from robust_sparse_tf.callbacks.catastrophic_overfitting import Check, signs
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.training import AdversarialModel, Mixed

WIDE = 0.5  # a ball in which digits can be read from what one step does to them


def robust(attack, network=None, rate=4e-3, steps_per_execution=50) -> AdversarialModel:
    keras.utils.set_random_seed(0)
    network = network or models.lenet_300_100((8, 8, 1))
    model = AdversarialModel(network, attack, Mixed(clean_weight=0.0))
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, jit_update=False, steps_per_execution=steps_per_execution)
    return model


def train(model, split, steps: int, *callbacks) -> None:
    model.fit(split, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=list(callbacks))


# Accuracies under PGD and under the attack of training, and at which checks they are a sign.
SEQUENCES = {
    "falls": ([(0.3, 0.4), (0.6, 0.7), (0.1, 0.9), (0.0, 0.95)], [2]),
    "falls slowly": ([(0.6, 0.7), (0.5, 0.8), (0.46, 0.85), (0.28, 0.9), (0.1, 0.9)], [3]),
    "falls where the attack is strong": ([(0.3, 0.35), (0.1, 0.4)], [1]),
    "falls twice": ([(0.6, 0.7), (0.1, 0.9), (0.6, 0.7), (0.1, 0.9)], [1, 3]),
    "rises a little in between": ([(0.6, 0.7), (0.1, 0.9), (0.5, 0.9), (0.1, 0.9)], [1]),
    "fell before the first check": ([(0.0, 0.9), (0.0, 0.95), (0.0, 0.9)], [0]),
    "never rises": ([(0.02, 0.1), (0.0, 0.9), (0.01, 0.9)], [1]),
    "is nothing at first": ([(0.05, 0.8), (0.01, 0.9)], [1]),
    "rises late": ([(0.0, 0.1), (0.0, 0.3), (0.05, 0.5), (0.3, 0.6), (0.5, 0.7)], []),
    "is learnt": ([(0.1, 0.1), (0.3, 0.35), (0.5, 0.6), (0.6, 0.7)], []),
    "noise": ([(0.5, 0.6), (0.4, 0.55), (0.52, 0.6), (0.38, 0.5)], []),
    "noise at the start": ([(0.15, 0.2), (0.07, 0.15), (0.12, 0.25)], []),
    "all is lost": ([(0.6, 0.7), (0.1, 0.12), (0.6, 0.7)], []),
    "against many steps": ([(0.6, 0.6), (0.2, 0.2), (0.55, 0.55)], []),
    "one check": ([(0.0, 0.9)], [0]),
    "one check of a model that learns": ([(0.1, 0.6)], []),
    "none": ([], []),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_signs(name):
    accuracies, expected = SEQUENCES[name]
    history = [Check(10 * number, *pair) for number, pair in enumerate(accuracies)]
    assert signs(history) == expected
    # What comes later changes nothing.
    known = [number for number in range(len(history)) if number in signs(history[: number + 1])]
    assert known == expected


@pytest.mark.parametrize(("fall", "expected"), [(0.2, [1]), (0.5, [2]), (0.9, [3])])
def test_share_that_is_lost(fall, expected):
    history = [Check(0, 0.8, 0.8), Check(1, 0.6, 0.9), Check(2, 0.3, 0.9), Check(3, 0.05, 0.9)]
    assert signs(history, fall) == expected


def test_training_by_one_step_is_told_of(digits):
    """Once, as it does not end."""
    watch = CatastrophicOverfitting(digits[0], every=100)
    model = robust(FGSM(epsilon=WIDE))
    with pytest.warns(RunWarning) as warned:
        train(model, digits[0], 600, watch)
    assert len(warned) == 1
    assert [check.step for check in watch.history] == list(range(100, 601, 100))
    (sign,) = signs(watch.history)
    check, best = watch.history[sign], max(watch.history[: sign + 1], key=lambda c: c.accuracy)
    assert str(warned[0].message) == (
        f"catastrophic overfitting at step {check.step}: of 200 training images "
        f"{100 * check.own_accuracy:.1f} % are robust to FGSM, which is trained on, but "
        f"{100 * check.accuracy:.1f} % to PGD, which at best, at step {best.step}, "
        f"{100 * best.accuracy:.1f} % were"
    )
    assert model.step == 600


def test_stops(digits):
    """At the end of the execution in which it is seen."""
    watch = CatastrophicOverfitting(digits[0], every=100, stop=True)
    model = robust(FGSM(epsilon=WIDE))
    with pytest.warns(RunWarning, match="catastrophic overfitting at step"):
        model.fit(digits[0], epochs=10, steps_per_epoch=200, verbose=0, callbacks=[watch])
    assert signs(watch.history) == [len(watch.history) - 1]
    assert model.step == watch.history[-1].step < 2000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "attack",
    [
        FGSM(epsilon=0.1),
        pytest.param(PGD(epsilon=0.15, step_size=0.05, steps=7), marks=pytest.mark.slow),
    ],
)
def test_sound_training_is_not_told_of(attack, digits):
    watch = CatastrophicOverfitting(digits[0], every=20)
    train(robust(attack, rate=2e-3, steps_per_execution=20), digits[0], 200, watch)
    assert len(watch.history) == 10
    assert watch.history[-1].accuracy > 0.3


def test_what_is_measured(digits):
    """Accuracies of the first images of a split, under both attacks, as they are by hand."""
    attack = FGSM(epsilon=0.2, high=0.9)
    model = robust(attack)
    few = data.Split(
        digits[0].images[:150] * 0.9, digits[0].labels[:150], num_classes=10, batch_size=50
    )
    watch = CatastrophicOverfitting(few, every=50)
    train(model, few, 100, watch)
    x, y = few.images.astype(np.float32), few.labels
    pgd = PGD(epsilon=0.2, step_size=0.05, steps=10, high=0.9)

    def accuracy(attack) -> float:
        adversarial = attack(model.network, x, y, seed=(0, 0))
        return np.mean(np.argmax(model.network(adversarial), axis=1) == y)

    step, *found = watch.history[-1]
    assert step == 100
    assert found == pytest.approx([accuracy(pgd), accuracy(attack)])
    assert 0 < found[0] < found[1]  # else these would say little
    assert watch.check() == watch.history[-1]


@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
def test_given_attack_and_images(digits):
    images, labels = digits[0].images[:40], digits[0].labels[:40].astype(np.int32)
    weak, strong = (
        CatastrophicOverfitting((images, labels), attack, every=30)
        for attack in (MIM(epsilon=1e-6, step_size=1e-7), MIM(epsilon=0.3, step_size=0.1))
    )
    model = robust(FGSM(epsilon=0.1), steps_per_execution=15)
    train(model, digits[0], 60, weak, strong)
    clean = np.mean(np.argmax(model.network(images), axis=1) == labels)
    assert weak.history[-1].accuracy == pytest.approx(clean)
    assert strong.history[-1].accuracy < weak.history[-1].own_accuracy < clean


def test_models_of_random_radii_are_checked_at_one(digits):
    """Whatever is drawn, so that checks can be compared."""
    fixed, drawn = FGSM(epsilon=0.1), RandomIntensity(attack=FGSM(epsilon=0.1), std=0.001)
    checks = []
    for attack in (fixed, drawn):
        watch = CatastrophicOverfitting(digits[0])
        watch.set_model(robust(attack))
        checks.append(watch.check())
    assert checks[0] == checks[1]


class Stub(CatastrophicOverfitting):
    """Sees given accuracies, one at each check; executions have 20 steps."""

    def __init__(self, accuracies: list[tuple[float, float]], **options) -> None:
        super().__init__((np.zeros([200, 8, 8, 1]), np.zeros(200, np.int64)), **options)
        self.accuracies = iter(accuracies)

    def check(self) -> Check:
        return Check(int(self.model.step), *next(self.accuracies))

    def fit(self, model, executions: int) -> None:
        self.set_model(model)
        for _ in range(executions):
            model.step.assign_add(20)
            self.on_train_batch_end(0)


@pytest.mark.parametrize(
    ("every", "steps"),
    [(10, [20, 40, 60, 80]), (20, [20, 40, 60, 80]), (30, [40, 60]), (70, [80]), (100, [])],
)
def test_checks_are_at_ends_of_executions(every, steps):
    """The first after each multiple, whatever step a fit begins at."""
    model = robust(FGSM(epsilon=0.1))
    watch = Stub([(0.5, 0.5)] * 10, every=every)
    watch.fit(model, 4)
    assert [check.step for check in watch.history] == steps
    model.step.assign(2100)
    watch.fit(model, 4)
    assert [check.step for check in watch.history[len(steps) :]] == [2100 + step for step in steps]


def test_warns_once_a_fall():
    """At once, in the words of the history; a second fall is told of again."""
    model = robust(FGSM(epsilon=0.1))
    watch = Stub([(0.6, 0.7), (0.1, 0.9), (0.0, 0.9), (0.6, 0.7), (0.2, 0.8), (0.1, 0.9)], every=20)
    with pytest.warns(RunWarning) as warned:
        watch.fit(model, 2)
        assert len(warned) == 1
        watch.fit(model, 4)
    assert [str(warning.message) for warning in warned] == [
        "catastrophic overfitting at step 40: of 200 training images 90.0 % are robust to FGSM, "
        "which is trained on, but 10.0 % to PGD, which at best, at step 20, 60.0 % were",
        "catastrophic overfitting at step 100: of 200 training images 80.0 % are robust to FGSM, "
        "which is trained on, but 20.0 % to PGD, which at best, at step 20, 60.0 % were",
    ]
    assert not model.stop_training


@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
def test_asks_for_the_end():
    model = robust(FGSM(epsilon=0.1))
    watch = Stub([(0.6, 0.7), (0.1, 0.9), (0.0, 0.9)], every=20, stop=True)
    watch.fit(model, 1)
    assert not model.stop_training
    watch.fit(model, 1)
    assert model.stop_training


def test_same_bits_with_and_without(digits):
    """With dropout and random starts, whose numbers the checks must not use up."""

    def trained(*callbacks) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                keras.layers.Input((8, 8, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(50, "relu"),
                keras.layers.Dropout(0.3),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(10),
            ]
        )
        attack = PGD(epsilon=0.2, step_size=0.2, steps=1, random_start=True)
        model = robust(attack, network, steps_per_execution=5)
        train(model, digits[0], 40, *callbacks)
        drawn = [tf.random.uniform([3]), np.random.uniform(size=3)]
        return [v.numpy() for v in (*network.variables, *model.optimizer.variables)] + drawn

    watch = CatastrophicOverfitting(digits[0], every=20)
    for ours, theirs in zip(trained(watch), trained(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(watch.history) == 2


IMAGES, LABELS = np.zeros([4, 8, 8, 1], np.float32), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(every=0), "every=0: must be at least 1"),
        (dict(fall=0.0), "fall=0.0: must be between 0 and 1"),
        (dict(fall=1.0), "fall=1.0: must be between 0 and 1"),
        (dict(fall=np.nan), "fall=nan: must be a finite number"),
        (dict(attack="pgd"), "attack=.pgd.: must be an untargeted Attack"),
        (dict(attack=FGSM(targeted=True)), "must be an untargeted Attack"),
        (dict(batch=(IMAGES, LABELS[:3])), "data of shapes .* must be"),
        (dict(batch=(IMAGES[:0], LABELS[:0])), "n above 0"),
    ],
)
def test_refuses(options, words):
    with pytest.raises(InputError, match=words):
        CatastrophicOverfitting(**({"batch": (IMAGES, LABELS)} | options))


@pytest.mark.parametrize("attack", [None, FGSM(epsilon=0.0)])
def test_refuses_models_without_an_attack(attack, digits):
    watch = CatastrophicOverfitting((IMAGES, LABELS))
    with pytest.raises(InputError, match="must be trained under one, epsilon above 0"):
        train(robust(attack), digits[0], 10, watch)


# Attack and learning rate of LeNet-5 on MNIST, and whether it overfits to the attack.
ON_MNIST = {
    "one large step": (FGSM(epsilon=0.3), 2e-3, True),
    "one small step": (FGSM(epsilon=0.15), 4e-3, False),
    "many steps": (PGD(epsilon=0.2, step_size=0.05, steps=5), 2e-3, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_MNIST)
def test_on_mnist(name):
    if not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    attack, rate, overfits = ON_MNIST[name]
    split = data.load("mnist", batch_size=60)[0]
    watch = CatastrophicOverfitting(split, every=50)
    model = robust(attack, models.lenet5(), rate)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", RunWarning)
        train(model, split, 600 if overfits else 200, watch)
    found = [warning for warning in warned if issubclass(warning.category, RunWarning)]
    assert len(found) == overfits, watch.history
    accuracies = [check.accuracy for check in watch.history]
    best = max(accuracies)
    if overfits:  # after it had been robust, as it may become again
        later = watch.history[accuracies.index(best) :]
        assert max(own for _, accuracy, own in later if accuracy < best / 2) > 0.7
    else:
        assert accuracies[-1] > 0.9 * best > 0.5
