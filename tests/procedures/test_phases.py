"""Phases: clean, then robust, then pruned; killed at, before and after their borders."""

import numpy as np
import pytest
import tf_keras as keras
from lottery_runs import ATTACK, figures, kernels, masks, state

from robust_sparse_tf import data, models, sparsity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import CheckpointStore, PhaseOptions, Phases
from robust_sparse_tf.training import AdversarialModel

# Four steps per epoch.
IMAGES, LABELS = np.random.default_rng(0).random((40, 8, 8, 1), np.float32), np.arange(40) % 10
TRAIN = data.Split(IMAGES, LABELS, num_classes=10, batch_size=10, shuffle=True)
RIGL = sparsity.RigL(0.3, update_interval=3)
BOTH = PhaseOptions(clean_epochs=1, robust_epochs=2)


class Killed(Exception):
    """Stands for a process that is killed."""


class Watch(keras.callbacks.Callback):
    """The attack of each training step, and the state after it."""

    def __init__(self):
        super().__init__()
        self.attacks, self.rates, self.states = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.attacks.append(self.model.attack)
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.states.append(state(self.model))


def make_model(method=RIGL) -> AdversarialModel:
    keras.utils.set_random_seed(0)
    network = sparsity.sparsify(models.mlp((8, 8, 1), hidden=(20, 12)), method)
    model = AdversarialModel(network, ATTACK)
    model.compile(keras.optimizers.Adam(1e-2), jit_update=False, run_eagerly=True)
    return model


def run(options=BOTH, method=RIGL, *, kill=None, **arguments):
    """A run; `kill` is the number of records after which it is killed."""
    model, watch, seen = make_model(method), Watch(), []

    def on_record(record):
        seen.append(record)
        if len(seen) == kill:
            raise Killed

    phases = Phases(options=options, evaluate_every=3)
    try:
        records = phases.run(
            model,
            TRAIN,
            lambda: figures(model),
            callbacks=[watch],
            on_record=on_record,
            **arguments,
        )
    except Killed:
        records = seen
    return model, records, watch


def places(records) -> list[tuple[int, int]]:
    return [(record["round"], record["iteration"]) for record in records]


@pytest.fixture(scope="module")
def whole():
    """Model, records and steps of a run of all phases. Not to be changed by a test."""
    return run(PhaseOptions(**vars(BOTH) | dict(prune_after="threshold", prune_to=["0.8", "0.9"])))


def test_each_phase_is_a_round(whole):
    model, records, watch = whole
    assert places(records) == [(0, 3), (0, 4), (1, 3), (1, 6), (1, 8), (2, 0), (3, 0)]
    assert watch.attacks == [None] * 4 + [ATTACK] * 8
    assert model.attack is ATTACK
    assert ["robust_accuracy" in record["train"] for record in records] == [False] * 2 + [True] * 5
    assert model.optimizer.iterations == 12 - 12 // 3 + 1  # RigL's updates replace steps
    assert model.step == model.network.step == 12


def test_clean_phases_are_bit_identical_whatever_follows(whole):
    """Another robust phase, or none."""
    others = [
        PhaseOptions(clean_epochs=1, robust_epochs=1, robust_density=0.2, fresh_optimizer=True),
        PhaseOptions(clean_epochs=1, robust_epochs=1, robust_learning_rate=1e-3),
    ]
    for other in others:
        _, _, watch = run(other, kill=2)
        np.testing.assert_equal(watch.states, whole[2].states[:4])


@pytest.mark.parametrize("kill", [1, 2, 3, 5, 6])
def test_killed_runs_end_bit_identically(whole, kill, tmp_path):
    """In the clean phase, at its end, in the robust phase, at its end, and between prunings."""
    options = PhaseOptions(**vars(BOTH) | dict(prune_after="threshold", prune_to=["0.8", "0.9"]))
    store = CheckpointStore(str(tmp_path))
    run(options, kill=kill, store=store)
    model, records, _ = run(options, store=store)
    assert records == whole[1]
    np.testing.assert_equal(state(model), state(whole[0]))


def test_a_run_killed_at_the_border_itself(whole, tmp_path):
    """After the last record of the clean phase, while its network is written."""
    options = PhaseOptions(**vars(BOTH) | dict(prune_after="threshold", prune_to=["0.8", "0.9"]))
    store = CheckpointStore(str(tmp_path))

    def kill(number):
        raise Killed

    run(options, store=store, on_round_end=kill)
    model, records, _ = run(options, store=store)
    assert records == whole[1]
    np.testing.assert_equal(state(model), state(whole[0]))


def test_pruning_is_of_all_weights_by_one_threshold(whole):
    model, records, watch = whole
    for record, density in zip(records[-2:], (0.2, 0.1), strict=True):
        assert record["density"] == pytest.approx(density, abs=1e-3)
    trained = make_model()
    for variable, value in zip(trained.network.variables, watch.states[-1], strict=False):
        variable.assign(value)
    before = np.concatenate([np.abs(kernel).ravel() for kernel in kernels(trained)])
    after = np.concatenate([np.abs(kernel).ravel() for kernel in kernels(model)])
    np.testing.assert_array_equal(after[after > 0], before[after > 0])
    assert before[after > 0].min() >= before[after == 0].max()


def test_gamma_and_training_after_pruning():
    options = PhaseOptions(
        robust_epochs=1, prune_after="threshold", prune_gamma=0.1, prune_after_epochs=1
    )
    method = sparsity.Static(0.5)
    model, records, watch = run(options, method)
    assert places(records) == [(0, 3), (0, 4), (1, 3), (1, 4)]
    assert watch.attacks == [ATTACK] * 8
    kept = sum(
        np.count_nonzero(np.abs(value) >= 0.1) for value in watch.states[3] if value.ndim > 1
    )
    assert 0 < sum(mask.sum() for mask in masks(model)) < kept
    assert all(np.all(k[m == 0] == 0) for k, m in zip(kernels(model), masks(model), strict=True))


@pytest.mark.parametrize("method", [RIGL, sparsity.SET(0.3), sparsity.SNFS(0.3), "fixed"])
@pytest.mark.parametrize("density", [0.2, 0.45])
def test_densities_of_phases(method, density):
    """Lower prunes the smallest of each layer; higher adds to what there is."""
    if method == "fixed":
        method = sparsity.RigL(0.4, distribution="erk", dense_last=True)
    model, _, watch = run(PhaseOptions(clean_epochs=1, robust_epochs=1), method, kill=2)
    before, old = kernels(model), masks(model)
    options = PhaseOptions(clean_epochs=1, robust_epochs=1, robust_density=density)
    seen = []

    class First(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append((kernels(self.model), masks(self.model)))

    model = make_model(method)
    Phases(options=options, evaluate_every=3).run(
        model, TRAIN, lambda: figures(model), callbacks=[First()]
    )
    weights, new = seen[4]
    sizes = sum(mask.size for mask in new)
    assert sum(mask.sum() for mask in new) == pytest.approx(density * sizes, abs=3)
    for a, b, m, n in zip(before, weights, old, new, strict=True):
        if n.sum() < m.sum():
            assert np.all(n <= m)
            lost = np.abs(a)[(m == 1) & (n == 0)]
            assert np.abs(a)[n == 1].min() >= lost.max()
        else:
            assert np.all(n >= m)
        np.testing.assert_array_equal(b, a * n)
    if getattr(method, "dense_last", False):
        assert new[-1].all()


def test_rigl_grows_where_the_gradient_is_largest():
    from robust_sparse_tf.sparsity import density_change

    model = make_model()
    network = model.network
    x, y = TRAIN.gather(np.arange(10))
    gradients = density_change._gradients(network, x, y)
    before = masks(model)
    model.optimizer.build(model.trainable_variables)
    density_change.change_density(network, model.optimizer, 0.4, x, y)
    for entry, old in zip(sparsity.masked_weights(network), before, strict=True):
        gradient, new = np.abs(gradients[entry.name].numpy()), entry.mask.numpy()
        grown = (new == 1) & (old == 0)
        assert grown.sum() == pytest.approx(old.sum() / 3, abs=1)
        assert gradient[grown].min() >= gradient[new == 0].max()


def test_learning_rate_and_optimizer_of_the_robust_phase(tmp_path):
    options = PhaseOptions(clean_epochs=1, robust_epochs=1, robust_learning_rate=1e-3)
    store = CheckpointStore(str(tmp_path))
    _, _, watch = run(options, store=store, kill=3)
    assert watch.rates == pytest.approx([1e-2] * 4 + [1e-3] * 3)
    _, _, watch = run(options, store=store)
    assert watch.rates == pytest.approx([1e-3])
    fresh = PhaseOptions(clean_epochs=1, robust_epochs=1, fresh_optimizer=True)
    model, _, _ = run(fresh, sparsity.Static(0.3))
    assert model.optimizer.iterations == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(clean_epochs=0), "clean_epochs=0: must be at least 1"),
        (dict(robust_epochs=0), "robust_epochs=0: must be at least 1"),
        (dict(robust_density=0.1), "robust_density=0.1: has no effect without clean_epochs"),
        (dict(prune_to=["0.5"]), "prune_to=.*: has no effect without prune_after=threshold"),
        (dict(prune_after="threshold"), "needs either prune_gamma or prune_to"),
        (dict(prune_after="threshold", prune_to=["1"]), "prune_to=1: must be rising .* below 1"),
        (dict(prune_after="threshold", prune_to=["x"]), "prune_to=x: must be rising"),
        (dict(prune_after="threshold", prune_to=["0.5", "0.4"]), "prune_to=0.5,0.4: must be ri"),
        (dict(prune_after="threshold", prune_to=["-0.1"]), "prune_to=-0.1: must be rising"),
    ],
)
def test_options_refuse(given, words):
    with pytest.raises(InputError, match=words):
        PhaseOptions(**given)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        (sparsity.Static(0.3), dict(robust_density=0.4), "density=0.4: .* Static cannot grow"),
        (sparsity.Magnitude(0.3), dict(robust_density=0.4), "density=0.4: .* cannot grow"),
        (sparsity.GradualMagnitude(0.3), dict(robust_density=0.2), "left out with GradualMagn"),
        (
            sparsity.Static(0.3),
            dict(prune_after="threshold", prune_to=["0.5"]),
            "prune_to=0.5: must be at least 0.7.*, the sparsity there is",
        ),
    ],
)
def test_phases_refuse_before_they_train(method, given, words):
    with pytest.raises(InputError, match=words):
        run(PhaseOptions(clean_epochs=1, robust_epochs=1, **given), method)


def test_a_rate_of_its_own_and_a_schedule():
    model = make_model()
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 10)
    model.compile(keras.optimizers.Adam(schedule), jit_update=False)
    options = PhaseOptions(clean_epochs=1, robust_epochs=1, robust_learning_rate=1e-3)
    with pytest.raises(InputError, match="robust_learning_rate=0.001: must be left out with a"):
        Phases(options=options).run(model, TRAIN, lambda: {})
