import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import (
    ATTACKS,
    FGSM_ATTACK,
    PGD_ATTACK,
    RANDOM,
    ZeroCheck,
    robust,
    sgd,
    values,
)
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.utils import clip_eta

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.sparsity import Magnitude, masked_weights
from robust_sparse_tf.training import Mixed

layers = keras.layers


def slow(*values):
    """A case of which others like it are looked at each time."""
    return pytest.param(*values, marks=pytest.mark.slow)


def normalised() -> keras.Model:
    """A sparse convolutional network whose examples mix in training, by batch normalization."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    return sparsify(model, Magnitude(0.5))


def regularised() -> keras.Model:
    """A sparse network whose weights are penalised."""
    keras.utils.set_random_seed(0)
    model = models.lenet_300_100((8, 8, 1))
    for layer in model.layers[1:]:
        layer.kernel_regularizer = keras.regularizers.L2(0.5)
    sparse = sparsify(keras.models.clone_model(model), Magnitude(0.3))
    assert len(sparse.losses) == 3
    return sparse


def trained_values(make_lenet, digits, steps, attack=RANDOM, **arguments):
    model = robust(make_lenet(), attack, **arguments)
    model.fit(digits[0], epochs=1, steps_per_epoch=steps, verbose=0)
    return values(model.network)


@pytest.fixture(scope="module")
def after_five_steps(make_lenet, digits):
    return trained_values(make_lenet, digits, 5)


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3, momentum=0.9),
}


@pytest.mark.parametrize(
    "optimizer, attack",
    [("adamw", "fgsm"), ("sgd", "pgd_random")]
    + [
        slow(optimizer, attack)
        for optimizer in OPTIMIZERS
        for attack in ("fgsm", "pgd_random")
        if (optimizer, attack) not in {("adamw", "fgsm"), ("sgd", "pgd_random")}
    ],
)
def test_pruned_weights_stay_zero(optimizer, attack, make_lenet, digits):
    network, check = make_lenet(), ZeroCheck()
    before = [mask.numpy() for _, _, mask, *_ in masked_weights(network)]
    model = robust(network, ATTACKS[attack], optimizer=OPTIMIZERS[optimizer](), jit_update=None)
    model.fit(digits[0], epochs=2, steps_per_epoch=4, verbose=0, callbacks=[check])
    assert check.steps == 8
    np.testing.assert_equal([mask.numpy() for _, _, mask, *_ in masked_weights(network)], before)
    assert model.nonfinite_step.numpy() == -1


def test_weights_that_the_optimizer_would_bring_back_stay_zero(make_lenet, batch):
    """Old momentum moves a weight without any gradient; it must not come back all the same."""
    network = sparsify(models.lenet_300_100((8, 8, 1)))
    model = robust(network, FGSM_ATTACK)
    model.train_on_batch(*batch)
    Magnitude(0.2).prune(network)
    for _ in range(2):
        model.train_on_batch(*batch)
        for _, weight, mask, *_ in masked_weights(network):
            assert np.all(weight.numpy()[mask == 0] == 0)


def reference_attack(attack, inference, x, y, noise):
    """FGSM or PGD, step by step."""
    labels = y if attack.attack_labels == "true" else tf.argmax(inference(x), axis=1)
    steps, size = 1, attack.epsilon
    if isinstance(attack, PGD):
        steps, size = attack.steps, attack.step_length
    adversarial = x if noise is None else tf.clip_by_value(x + noise, 0, 1)
    for _ in range(steps):
        adversarial = fast_gradient_method(
            inference, adversarial, size, np.inf, clip_min=0.0, clip_max=1.0, y=labels
        )
        adversarial = x + clip_eta(adversarial - x, np.inf, attack.epsilon)
        adversarial = tf.clip_by_value(adversarial, 0, 1)
    return adversarial


def reference_step(network, attack, objective, optimizer, x, y, noise):
    """One step of adversarial training, written out; returns loss, clean and robust logits."""
    smoothing = objective.label_smoothing
    targets = tf.one_hot(y, 10) * (1 - smoothing) + smoothing / 10
    weight = objective.clean_weight if attack else 1.0
    with tf.GradientTape() as tape:
        clean, robust_logits = network(x, training=True), None
        loss = weight * tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, clean))
        if attack:
            with tape.stop_recording():
                adversarial = reference_attack(
                    attack, lambda inputs: network(inputs, training=False), x, y, noise
                )
            robust_logits = network(adversarial, training=True)
            robust_losses = tf.nn.softmax_cross_entropy_with_logits(targets, robust_logits)
            loss += (1 - weight) * tf.reduce_mean(robust_losses)
        total = tf.add_n([loss, *network.losses])
    gradients = tape.gradient(total, network.trainable_variables)
    masks = {entry.weight.ref(): entry.mask for entry in masked_weights(network)}
    pairs = zip(gradients, network.trainable_variables, strict=True)
    optimizer.apply_gradients([(g * masks.get(v.ref(), 1.0), v) for g, v in pairs])
    for _, kernel, mask, *_ in masked_weights(network):
        kernel.assign(kernel * mask)
    network.step.assign_add(1)
    return float(loss), clean, robust_logits


# A graph for each attack and kind of network; what else there is, eagerly: that is faster.
@pytest.mark.parametrize(
    "attack, objective, make, eager",
    [(name, Mixed(), "lenet", False) for name in ("natural", "fgsm", "pgd_random")]
    + [slow(name, Mixed(), "lenet", False) for name in ("fgsm_predicted", "pgd", "pgd_predicted")]
    + [
        ("natural", Mixed(clean_weight=0.2, label_smoothing=0.1), "lenet", True),
        ("fgsm", Mixed(clean_weight=1.0), "lenet", True),
        ("fgsm", Mixed(clean_weight=0.0), "lenet", True),
        ("fgsm", Mixed(label_smoothing=0.1), "lenet", True),
        ("pgd", Mixed(clean_weight=0.2, label_smoothing=0.3), "lenet", True),
        ("pgd", Mixed(), normalised, True),
        ("pgd_predicted", Mixed(clean_weight=0.3), normalised, False),
        ("natural", Mixed(), regularised, True),
        ("fgsm", Mixed(), regularised, False),
    ],
)
def test_one_step_is_the_reference_step(attack, objective, make, eager, make_lenet, batch):
    attack = ATTACKS[attack]
    ours, theirs = ((make_lenet if make == "lenet" else make)() for _ in range(2))
    np.testing.assert_equal(values(ours), values(theirs))
    before, (x, y) = values(ours), batch
    noise = attack.noise(x.shape, (5, 0)) if attack else None
    loss, clean, robust_logits = reference_step(theirs, attack, objective, sgd(), x, y, noise)
    model = robust(ours, attack, objective, metrics=["accuracy"], run_eagerly=eager)
    logs = model.train_on_batch(x, y, return_dict=True)

    for mine, its in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(values(ours), before, strict=True)]
    assert max(moved) > 1e-3
    assert logs["loss"] == pytest.approx(loss, abs=1e-6)
    assert logs["accuracy"] == np.mean(np.argmax(clean, 1) == y)
    if attack:
        assert logs["robust_accuracy"] == np.mean(np.argmax(robust_logits, 1) == y)
    assert set(logs) == {"loss", "accuracy"} | ({"robust_accuracy"} if attack else set())


@pytest.mark.parametrize(
    "attack, make",
    [("pgd_random", "lenet")]
    + [slow(name, "lenet") for name in ATTACKS if name != "pgd_random"]
    + [("fgsm", regularised)],
)
def test_two_branches_give_what_one_gives(attack, make, make_lenet, batch):
    results = []
    for branches in (1, 2):
        network = (make_lenet if make == "lenet" else make)()
        model = robust(
            network, ATTACKS[attack], branches=branches, run_eagerly=attack != "pgd_random"
        )
        results.append((model.train_on_batch(*batch, return_dict=True), values(model.network)))
    (one, first), (two, second) = results
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert one == pytest.approx(two, abs=1e-5)


TRACES = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traced(FGSM):
    """FGSM that notes the size of each batch that it is traced for."""

    def ascend(self, model, x, labels, noise=None, gradient_at_x=None):
        TRACES.append(x.shape[0])
        return super().ascend(model, x, labels, noise, gradient_at_x)


def mixing() -> keras.Model:
    return keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dropout(0.5), layers.Dense(10)]
    )


class Own(layers.Dense):
    """A layer of which nothing is known."""


def unknown() -> keras.Model:
    return keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), Own(10)])


@pytest.mark.parametrize(
    "make, size, traced",
    [
        ("lenet", 16, [8, 8]),
        ("lenet", 15, [15]),
        (normalised, 16, [8, 8]),
        (mixing, 16, [8, 8]),
        (unknown, 16, [16]),
    ],
)
def test_branches_only_where_they_change_nothing(make, size, traced, make_lenet, batch):
    network = (make_lenet if make == "lenet" else make)()
    model = robust(network, Traced(epsilon=0.1), branches=2)
    TRACES.clear()
    model.train_on_batch(batch[0][:size], batch[1][:size])
    assert traced == TRACES


def test_steps_per_execution_change_no_bit(make_lenet, digits):
    one = trained_values(make_lenet, digits, 20, steps_per_execution=1)
    np.testing.assert_equal(trained_values(make_lenet, digits, 20, steps_per_execution=10), one)


def test_split_and_pipeline_change_no_bit(after_five_steps, make_lenet, digits):
    """A split is gathered in the graph; the same batches from tf.data give the same weights."""
    pipeline = digits[0].index_batches().map(digits[0].gather)
    np.testing.assert_equal(trained_values(make_lenet, (pipeline,), 5), after_five_steps)


def test_fits_go_on_where_the_last_one_stopped(after_five_steps, make_lenet, digits):
    """From a split, in pieces, with other fits' data in between or not."""
    model = robust(make_lenet(), RANDOM)
    pipeline = digits[0].index_batches(2).map(digits[0].gather)
    for data, steps in ((digits[0], 2), (pipeline, 2), (digits[0], 1)):
        model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)
    assert model.step.numpy() == 5
    np.testing.assert_equal(values(model.network), after_five_steps)


def test_seed_decides_on_random_starts(make_lenet, digits):
    first, again, other = (
        trained_values(make_lenet, digits, 2, seed=seed, run_eagerly=True) for seed in (5, 5, 6)
    )
    np.testing.assert_equal(again, first)
    assert np.any(other[0] != first[0])


def test_each_step_has_a_random_start_of_its_own(make_lenet, batch):
    """At rate 0 and with one batch, nothing else can change the loss."""
    frozen = keras.optimizers.SGD(0.0)
    model = robust(make_lenet(), RANDOM, optimizer=frozen, jit_update=False)
    losses = set()
    for _ in range(3):
        model.reset_metrics()
        losses.add(float(model.train_on_batch(*batch)[0]))
    assert len(losses) == 3


def test_an_epoch_of_a_split_is_one_pass(make_lenet, digits):
    model = robust(make_lenet())
    model.fit(digits[1], epochs=2, verbose=0)
    assert model.step.numpy() == 2 * 8  # 239 images in batches of 32


def test_the_first_step_is_traced_once(make_lenet, batch):
    """Its metrics and slots are there before."""
    model = robust(make_lenet(), Traced(epsilon=0.1), metrics=["accuracy"])
    TRACES.clear()
    model.train_on_batch(*batch)
    assert len(TRACES) == 1


def test_later_fits_trace_nothing_anew(make_lenet, digits):
    model = robust(make_lenet(), Traced(epsilon=0.1), steps_per_execution=3)
    traces = []
    TRACES.clear()
    for steps in (6, 6, 9):
        model.fit(digits[0], epochs=1, steps_per_epoch=steps, verbose=0)
        traces.append(len(TRACES))
    assert traces[0] == traces[1] == traces[2] > 0


@pytest.mark.parametrize("attack", ["natural", "fgsm", "pgd_predicted"])
def test_evaluate(attack, make_lenet, digits):
    attack, split = ATTACKS[attack], digits[1]
    objective = Mixed(clean_weight=0.3, label_smoothing=0.1)
    model = robust(make_lenet(), attack, objective, metrics=["accuracy"])
    before = values(model.network)
    logs = model.evaluate(split, verbose=0, return_dict=True)

    x, y = split.gather(tf.range(split.size, dtype=tf.int64))
    logits = model.network(x)
    loss = tf.reduce_mean(objective.example_losses(y, logits))
    expected = dict(accuracy=np.mean(np.argmax(logits, 1) == y))
    if attack:
        robust_logits = model.network(attack(model.network, x, y))
        loss = 0.3 * loss + 0.7 * tf.reduce_mean(objective.example_losses(y, robust_logits))
        expected["robust_accuracy"] = np.mean(np.argmax(robust_logits, 1) == y)
    assert logs == pytest.approx(dict(loss=float(loss), **expected), rel=1e-5)
    np.testing.assert_equal(values(model.network), before)
    assert model.step.numpy() == 0


def test_is_a_model_like_any_other(make_lenet, digits):
    """Calls, predicts, and fits on arrays with validation data."""
    network = make_lenet()
    model = robust(network, FGSM_ATTACK, optimizer="adam", metrics=["accuracy"])
    x, y = digits[1].images, digits[1].labels
    np.testing.assert_array_equal(model(x[:9]), network(x[:9]))
    np.testing.assert_allclose(model.predict(x, verbose=0), network(x), atol=1e-5)
    history = model.fit(x, y, batch_size=60, epochs=2, validation_data=digits[2], verbose=0)
    assert model.step.numpy() == 8
    names = {"loss", "accuracy", "robust_accuracy"}
    assert set(history.history) == names | {f"val_{name}" for name in names}
    assert history.history["loss"][1] < history.history["loss"][0]


def test_dense_networks_train_too(digits):
    model = robust(models.lenet_300_100((8, 8, 1)), FGSM_ATTACK)
    history = model.fit(digits[0], epochs=2, steps_per_epoch=20, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert all(np.count_nonzero(kernel) == kernel.size for kernel in model.network.get_weights())


@pytest.mark.parametrize("optimizer", [keras.optimizers.legacy.Adam(1e-2), "sgd"])
def test_legacy_and_named_optimizers(optimizer, make_lenet, batch):
    network = make_lenet()
    model = robust(network, FGSM_ATTACK, optimizer=optimizer)
    before = values(network)
    model.train_on_batch(*batch)
    for _, weight, mask, *_ in masked_weights(network):
        np.testing.assert_array_equal(weight, weight * mask)
    assert any(np.any(a != b) for a, b in zip(values(network)[:-2], before, strict=False))


@pytest.mark.parametrize("steps_per_execution", [1, 5])
def test_first_step_that_is_not_finite_is_noted(steps_per_execution, make_lenet, digits):
    model = robust(
        make_lenet(),
        PGD_ATTACK,
        optimizer=keras.optimizers.SGD(1e-3),
        steps_per_execution=steps_per_execution,
    )
    model.fit(digits[0], epochs=1, steps_per_epoch=5, verbose=0)
    assert model.nonfinite_step.numpy() == -1
    model.optimizer.learning_rate = 1e30
    model.fit(digits[0], epochs=1, steps_per_epoch=5, verbose=0)
    assert model.nonfinite_step.numpy() == 6  # the loss of step 5 is that before its huge step
    model.fit(digits[0], epochs=1, steps_per_epoch=5, verbose=0)
    assert model.nonfinite_step.numpy() == 6


@pytest.mark.parametrize("attack", ["natural", "fgsm"])
def test_broken_weights_are_noted_at_once(attack, make_lenet, digits):
    model = robust(make_lenet(), ATTACKS[attack])
    kernel = model.network.trainable_variables[-1]
    kernel.assign(kernel * np.nan)
    model.fit(digits[0], epochs=1, steps_per_epoch=2, verbose=0)
    assert model.nonfinite_step.numpy() == 0
