import dataclasses
import math

import networks
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from dynamic_networks import compiled, examples, network
from networks import slow, weights_of

from robust_sparse_tf import sparsify
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import SET, SNFS, EMAGrowth, RigL, masked_weights
from robust_sparse_tf.sparsity.methods.flying_bird import FlyingBird
from robust_sparse_tf.sparsity.methods.flying_bird_plus import FlyingBirdPlus

layers = keras.layers

METHODS = [SET, RigL, EMAGrowth, SNFS]
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-2, momentum=0.5),
    "legacy": lambda: keras.optimizers.legacy.Adam(1e-2),
}


def masks_of(model) -> list[np.ndarray]:
    return [entry.mask.numpy() > 0 for entry in masked_weights(model)]


def state_of(model) -> list[np.ndarray]:
    """Everything a run leaves: the model's variables and the optimizer's."""
    optimizer = model.optimizer.variables
    optimizer = optimizer() if callable(optimizer) else optimizer
    return [variable.numpy() for variable in [*model.variables, *optimizer]]


class Watch(keras.callbacks.Callback):
    """Keeps masks, and the optimizer's iterations, before the first and after each step."""

    def on_train_begin(self, logs=None):
        self.masks, self.iterations = [masks_of(self.model)], [0]

    def on_train_batch_end(self, batch, logs=None):
        self.masks.append(masks_of(self.model))
        self.iterations.append(int(self.model.optimizer.iterations))
        for entry in masked_weights(self.model):
            assert np.all(entry.weight.numpy()[entry.mask.numpy() == 0] == 0), entry.name

    def updates(self) -> list[int]:
        """The steps, counted from 0, at which a mask changed."""
        pairs = enumerate(zip(self.masks[:-1], self.masks[1:], strict=True))
        return [step for step, (a, b) in pairs if any(map(np.any, map(np.not_equal, a, b)))]


def fit(model, steps: int, size: int = 8) -> Watch:
    watch = Watch()
    model.fit(*examples(steps, size), batch_size=size, shuffle=False, verbose=0, callbacks=[watch])
    return watch


@pytest.mark.parametrize(
    "kind, optimizer",
    [(kind, "adam") for kind in METHODS]
    + [(RigL, "momentum")]
    + [slow(RigL, name) for name in OPTIMIZERS if name not in ("adam", "momentum")],
)
def test_training_conserves_weights_and_updates_at_its_steps(kind, optimizer):
    """Each layer's count, or the whole one; an update stands in for the optimizer's step."""
    method = kind(
        0.3,
        distribution="erk",
        update_interval=3,
        start_step=2,
        stop_step=9,
        drop_decay="constant",
    )
    model = compiled(method, OPTIMIZERS[optimizer](), run_eagerly=True)
    counts = [mask.sum() for mask in masks_of(model)]
    assert sum(counts) == round(0.3 * (36 + 288 + 24))
    watch = fit(model, 12)
    assert watch.updates() == [2, 5, 8]
    assert watch.iterations == [
        step - sum(at < step for at in watch.updates()) for step in range(13)
    ]
    assert model.step.numpy() == 12
    for masks in watch.masks:
        found = [mask.sum() for mask in masks]
        assert sum(found) == sum(counts) if kind is SNFS else found == counts
    seen = [np.any(at, axis=0) for at in zip(*watch.masks, strict=True)]
    np.testing.assert_equal([variable.numpy() for variable in model.ever_active], seen)
    last = [np.count_nonzero(a != b) for a, b in zip(*(watch.masks[8:10]), strict=True)]
    np.testing.assert_array_equal(model.changed, last)


@pytest.mark.parametrize(
    "kind, steps", [(SET, 4), slow(SET, 50), slow(RigL, 4), slow(RigL, 50), slow(SNFS, 4)]
)
def test_steps_per_execution_change_no_bit(kind, steps):
    """Executions of one, and of some or all steps."""
    x, y = examples(16)
    states = []
    for number in (1, steps):
        keras.utils.set_random_seed(0)
        shallow = keras.Sequential([layers.Input((25,)), layers.Dense(9), layers.Dense(3)])
        method = kind(0.3, update_interval=3, grow_std=0.1)
        model = compiled(method, model=shallow, steps_per_execution=number)
        model.fit(x.reshape(-1, 25), y, batch_size=8, shuffle=False, verbose=0)
        assert model.optimizer.iterations == 11
        states.append(state_of(model))
    np.testing.assert_equal(states[1], states[0])


@pytest.mark.parametrize(
    "kind, grow_std", [(SET, 0.0), (RigL, 0.05), slow(SET, 0.05), slow(RigL, 0.0)]
)
def test_where_grown_weights_start(kind, grow_std):
    """At zero or at small random values; what stays keeps its weight, and biases do not move."""
    method = kind(0.5, update_interval=2, grow_std=grow_std, drop_fraction=0.5, seed=4)
    model = compiled(method, run_eagerly=True)
    x, y = examples(1)
    for _ in range(2):
        model.train_on_batch(x, y)
    old, before = weights_of(model), masks_of(model)
    biases = [v.numpy() for v in model.trainable_variables if v.shape.rank == 1]
    model.train_on_batch(x, y)
    np.testing.assert_equal(
        [v.numpy() for v in model.trainable_variables if v.shape.rank == 1], biases
    )
    values = []
    for weight, mask, a, b in zip(weights_of(model), masks_of(model), old, before, strict=True):
        order = np.argsort(-np.where(b, np.abs(a), -1), axis=None, kind="stable")
        kept = np.zeros(a.size, bool)
        kept[order[: b.sum() - round(b.sum() / 2)]] = True
        kept = kept.reshape(a.shape)
        assert np.all(mask[kept]) and kept.sum() < mask.sum()
        np.testing.assert_array_equal(weight[kept], a[kept])
        values.extend(weight[mask & ~kept])
    if not grow_std:
        assert not np.any(values)
        return
    assert len(set(values)) == len(values) == 87
    assert 0.8 * grow_std < np.std(values) < 1.2 * grow_std
    assert abs(np.mean(values)) < 3 * grow_std / np.sqrt(len(values))


def test_random_values_depend_on_seed_step_and_layer():
    """Growth at random, and its values, repeat with the seed, and with nothing else."""
    x, y = examples(1)
    states = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(0)
        square = keras.Sequential([layers.Input((24,)), layers.Dense(24), layers.Dense(24)])
        method = SET(0.5, update_interval=1, drop_fraction=1.0, grow_std=1.0, seed=seed)
        model = compiled(method, model=square, run_eagerly=True)
        masks = []
        for _ in range(3):
            model.train_on_batch(x.reshape(-1, 25)[:, :24], y)
            masks += masks_of(model)
        states.append([*masks, *weights_of(model)])
    np.testing.assert_equal(states[1], states[0])
    for a in range(6):
        assert np.any(states[2][a] != states[0][a])
        for b in range(a):
            assert np.any(states[0][a] != states[0][b])
    first, second = states[0][6:]
    assert not set(first[first != 0]) & set(second[second != 0])


def explicit_gradients(model, x, y) -> list[np.ndarray]:
    """The gradient of the loss without penalties, on each prunable weight as it is stored."""
    with tf.GradientTape() as tape:
        loss = model.compiled_loss(tf.constant(y), model(x, training=True))
    return [g.numpy() for g in tape.gradient(loss, [e.weight for e in masked_weights(model)])]


def expected_masks(model, gradients, fraction=0.5) -> list[np.ndarray]:
    """What an update by given gradients does to a model's masks."""
    found = []
    for entry, gradient in zip(masked_weights(model), gradients, strict=True):
        weight, active = entry.weight.numpy().ravel(), entry.mask.numpy().ravel() > 0
        order = np.argsort(-np.where(active, np.abs(weight), -1), kind="stable")
        keep = active.sum() - round(active.sum() * fraction)
        mask = np.zeros(active.size, bool)
        mask[order[:keep]] = True
        worth = np.where(mask, -1, np.abs(gradient).ravel())
        mask[np.argsort(-worth, kind="stable")[: active.sum() - keep]] = True
        found.append(mask.reshape(entry.mask.shape))
    return found


@pytest.mark.parametrize("batches, optimizer", [(1, "sgd"), (2, "adam"), (4, "sgd")])
def test_rigl_adds_up_the_gradients_of_the_last_batches(batches, optimizer):
    """Exactly those: batches before, or of the update before, do not count."""
    rate = {"sgd": keras.optimizers.SGD(1e-3), "adam": keras.optimizers.Adam(1e-3)}[optimizer]
    method = RigL(0.4, update_interval=4, gradient_batches=batches, drop_fraction=0.5)
    model = compiled(method, rate, run_eagerly=batches != 2)
    rng = np.random.default_rng(0)
    sums = {1: 0, 2: 0, 3: 0, 4: 0}
    for step in range(9):
        x, y = rng.normal(size=(8, 5, 5, 1)).astype(np.float32), rng.integers(0, 3, 8)
        gradients = explicit_gradients(model, x, y)
        for last in sums:
            first = (-step) % 4 == last - 1
            old = [0] * 3 if first or step == 0 else sums[last]
            sums[last] = [a + b for a, b in zip(old, gradients, strict=True)]
        expected = {last: expected_masks(model, sums[last]) for last in sums}
        before = masks_of(model)
        model.train_on_batch(x, y)
        if step % 4 or not step:
            np.testing.assert_equal(masks_of(model), before)
            continue
        np.testing.assert_equal(masks_of(model), expected[batches])
        others = [expected[last] for last in sums if last != batches]
        assert all(any(map(np.any, map(np.not_equal, expected[batches], o))) for o in others)


def test_ema_growth_follows_the_moving_average():
    method = EMAGrowth(0.4, update_interval=4, gradient_decay=0.7, drop_fraction=0.5)
    model = compiled(method, run_eagerly=True)
    rng, average = np.random.default_rng(0), [0.0] * 3
    for step in range(9):
        x, y = rng.normal(size=(8, 5, 5, 1)).astype(np.float32), rng.integers(0, 3, 8)
        gradients = explicit_gradients(model, x, y)
        average = [0.7 * a + 0.3 * g for a, g in zip(average, gradients, strict=True)]
        expected = expected_masks(model, average)
        plain = expected_masks(model, gradients)
        model.train_on_batch(x, y)
        for memory, value in zip(model.memory, average, strict=True):
            np.testing.assert_allclose(memory, value, atol=1e-6)
        if step and step % 4 == 0:
            np.testing.assert_equal(masks_of(model), expected)
            assert any(map(np.any, map(np.not_equal, expected, plain)))


@pytest.mark.parametrize("method", [RigL, EMAGrowth], ids=lambda kind: kind.__name__)
def test_penalties_move_weights_but_grow_none(method):
    """Masks after an update do not depend on a penalty that outweighs the loss by far."""
    x, y = examples(1)
    results = []
    for regularizer in (None, keras.regularizers.L1L2(50.0, 50.0)):
        model = compiled(
            method(0.4, update_interval=1, drop_fraction=0.5),
            keras.optimizers.SGD(1e-5),
            network(regularizer),
            run_eagerly=True,
        )
        assert len(model.losses) == (2 if regularizer else 0)
        model.step.assign(1)
        before = masks_of(model)
        model.train_on_batch(x, y)
        assert any(map(np.any, map(np.not_equal, masks_of(model), before)))
        masks = masks_of(model)
        model.step.assign(0)
        moved = weights_of(model)
        model.train_on_batch(x, y)
        results.append((masks, np.abs(weights_of(model)[1] - moved[1]).max()))
    np.testing.assert_equal(results[1][0], results[0][0])
    assert results[1][1] > 10 * results[0][1] > 0


@pytest.mark.parametrize("kind", [slow(SET), RigL, slow(EMAGrowth)])
def test_layers_frozen_later_keep_their_masks(kind):
    model = sparsify(network(), kind(0.3, update_interval=2))
    model.get_layer("hidden").trainable = False
    with pytest.warns(RunWarning, match="hidden"):
        networks.compiled(model)
    masks, weights = masks_of(model), weights_of(model)
    assert fit(model, 8).updates() == [2, 4, 6]
    for number, (mask, weight) in enumerate(zip(masks_of(model), weights_of(model), strict=True)):
        same = number == 1
        assert np.array_equal(mask, masks[number]) == same
        assert np.array_equal(weight, weights[number]) == same
        assert (model.changed.numpy()[number] == 0) == same
    np.testing.assert_array_equal(model.ever_active[1], masks[1])


@pytest.mark.parametrize("kind", [SET, RigL, slow(EMAGrowth), slow(SNFS), FlyingBirdPlus])
@pytest.mark.parametrize(
    "spread", [dict(dense_first=True), slow(dict(layer_densities={"conv": 1.0}))]
)
def test_layers_that_stay_dense_train_on(kind, spread):
    """An update takes none of their weights away, not even to let it grow again from zero."""
    model = compiled(kind(0.4, update_interval=1, **spread), run_eagerly=True)
    if kind is FlyingBirdPlus:
        model.feedback.assign([0.0, 1.0])
    x, y = examples(1)
    model.train_on_batch(x, y)
    weights = weights_of(model)
    model.train_on_batch(x, y)
    assert masks_of(model)[0].all()
    np.testing.assert_array_equal(weights_of(model)[0], weights[0])
    assert np.any(weights_of(model)[1] != weights[1])


@pytest.mark.parametrize("kind", [slow(SET), RigL, slow(EMAGrowth)])
def test_layers_that_the_distribution_leaves_dense_train_on(kind):
    model = compiled(kind(0.6, distribution="erk", update_interval=1), run_eagerly=True)
    assert [mask.all() for mask in masks_of(model)] == [True, False, True]
    x, y = examples(1)
    model.train_on_batch(x, y)
    weights = weights_of(model)
    model.train_on_batch(x, y)
    same = [np.array_equal(*pair) for pair in zip(weights_of(model), weights, strict=True)]
    assert same == [True, False, True]


def test_starts_from_the_masks_of_a_sparse_model():
    """As after a one-shot pruning; the density is then that of the masks."""
    model = compiled(RigL(0.3, update_interval=1), run_eagerly=True)
    masks = [np.zeros(entry.mask.shape, bool) for entry in masked_weights(model)]
    for entry, mask in zip(masked_weights(model), masks, strict=True):
        mask.flat[:10] = True
        entry.mask.assign(mask)
    model.start()
    np.testing.assert_equal(masks_of(model), masks)
    np.testing.assert_equal([seen.numpy() for seen in model.ever_active], masks)
    fit(model, 3)
    assert [mask.sum() for mask in masks_of(model)] == [10, 10, 10]


@pytest.mark.parametrize(
    "kind, structure",
    [
        (SET, "channels"),
        (RigL, "block:3x2"),
        (SET, "2:4"),
        (RigL, "1:2@outputs"),
        slow(RigL, "channels"),
        slow(SET, "block:3x2"),
        slow(RigL, "2:4"),
        slow(SET, "1:2@outputs"),
    ],
)
def test_structures_hold_through_training(kind, structure):
    keras.utils.set_random_seed(0)
    dense = keras.Sequential(
        [layers.Input((24,)), layers.Dense(12, "tanh"), layers.Dense(12, "tanh"), layers.Dense(12)]
    )
    method = kind(0.5, structure=structure, update_interval=1, drop_fraction=0.5)
    model = compiled(method, model=dense, run_eagerly=True)
    first = masks_of(model)
    x, y = examples(1)
    for _ in range(4):
        model.train_on_batch(np.tile(x.reshape(8, 25)[:, :12], 2), y)
        for entry, before in zip(masked_weights(model), first, strict=True):
            mask = entry.mask.numpy() > 0
            assert mask.sum() == before.sum() == mask.size // 2
            if structure == "channels":
                units = mask.reshape(1, -1, 12, 1)
            elif structure == "block:3x2":
                units = mask.reshape(-1, 3, 6, 2)
            elif structure == "2:4":
                assert np.all(mask.reshape(-1, 4, 12).sum(1) == 2)
                continue
            else:
                assert np.all(mask.reshape(-1, 6, 2).sum(2) == 1)
                continue
            np.testing.assert_array_equal(units.any((1, 3)), units.all((1, 3)))
    assert any(map(np.any, map(np.not_equal, masks_of(model), first)))


TOO_MANY = dict(gradient_batches=5, update_interval=4)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SET(stop_step=5, start_step=5), "^stop_step=5: must be above start_step=5"),
        (lambda: RigL(stop_step=1, start_step=7), "^stop_step=1: must be above start_step=7"),
        (lambda: SET(update_interval=0), "^update_interval=0: must be at least 1"),
        (lambda: SET(drop_fraction=1.1), "^drop_fraction=1.1: must be at least 0 and at most 1"),
        (lambda: SET(drop_fraction=math.nan), "^drop_fraction=nan: "),
        (lambda: SET(drop_decay="linear"), "^drop_decay=linear: must be one of constant"),
        (lambda: SET(grow_std=-0.1), "^grow_std=-0.1: "),
        (lambda: SET(0.0), "^density=0.0: must be above 0"),
        (lambda: EMAGrowth(gradient_decay=1.5), "^gradient_decay=1.5: "),
        (lambda: RigL(gradient_batches=0), "^gradient_batches=0: "),
        (lambda: RigL(**TOO_MANY), "^gradient_batches=5: must be at most update_interval=4"),
        (lambda: FlyingBird(**TOO_MANY), "^gradient_batches=5: must be at most update_interval=4"),
        (
            lambda: FlyingBirdPlus(0.5, structure="1:2@outputs"),
            "^structure=1:2@outputs: must not be",
        ),
        (lambda: FlyingBirdPlus(0.5, conv_structure="2:4"), "^conv_structure=2:4: must not be"),
        (lambda: sparsify(network(), SET(distribution="global")), "^distribution=global: "),
        (lambda: sparsify(network(), SET(0.5, structure="2:4")), "^structure=2:4: .*layer conv"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_methods_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RigL().density = 0.5
