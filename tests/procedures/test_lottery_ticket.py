import dataclasses
import warnings

import numpy as np
import pytest
import tf_keras as keras
from lottery_runs import (
    ATTACK,
    PROCEDURES,
    every_procedure,
    figures,
    kernels,
    make_model,
    run,
    state,
)

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.procedures import CheckpointStore, LotteryTicket
from robust_sparse_tf.sparsity import LayerRates
from robust_sparse_tf.training import AdversarialModel


def expected_start(name, number, seen) -> list[np.ndarray]:
    before = {
        "original": seen.starts[0],
        "late": seen.trained[0, 3],
        "trained_dense": seen.trained[0, 5],
        "continued": seen.trained[number - 1, 5],
    }[name]
    return [w * mask for w, mask in zip(before, seen.masks[number], strict=True)]


@every_procedure
def test_rounds_start_from_the_right_weights(name, whole):
    _, _, seen = whole(name)
    assert set(seen.starts) == {0, 1, 2}
    for number in (1, 2):
        starts = seen.starts[number]
        if name != "random":
            np.testing.assert_equal(starts, expected_start(name, number, seen))
        for kernel, mask, *others in zip(
            starts, seen.masks[number], seen.starts[0], seen.trained[number - 1, 5], strict=True
        ):
            assert np.all(kernel[mask == 0] == 0)
            if name == "random":
                limit = np.sqrt(6 / sum(kernel.shape))  # of Glorot's uniform distribution
                assert 0.9 * limit < np.abs(kernel).max() <= limit
                assert abs(kernel[mask == 1].std() - limit / 3**0.5) < 0.1 * limit
                for other in others:
                    assert np.mean(kernel[mask == 1] == other[mask == 1]) < 0.01
        np.testing.assert_equal(seen.slots[number], seen.slots[0])
    if name == "random":
        pairs = zip(seen.starts[1], seen.starts[2], seen.masks[2], strict=True)
        assert all(np.mean(a[m == 1] == b[m == 1]) < 0.01 for a, b, m in pairs)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "nadam": lambda: keras.optimizers.Nadam(),  # has a slot that starts at one
    "adagrad": lambda: keras.optimizers.Adagrad(),  # all of whose slots start above zero
    "schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    ),
}


@pytest.mark.parametrize(
    "optimizer",
    ["adagrad", *(pytest.param(k, marks=pytest.mark.slow) for k in OPTIMIZERS if k != "adagrad")],
)
def test_each_round_starts_with_a_fresh_optimizer(optimizer, digits):
    procedure = LotteryTicket(rounds=2, iterations=2, evaluate_every=2)
    compiled = dict(optimizer=OPTIMIZERS[optimizer](), run_eagerly=True)
    model, _, seen = run(procedure, digits, compiled=compiled)
    np.testing.assert_equal(seen.slots[1], seen.slots[0])
    assert model.optimizer.iterations == 2


@pytest.mark.parametrize(
    "name", ["original", "continued", pytest.param("random", marks=pytest.mark.slow)]
)
def test_moving_statistics_go_with_the_weights(name, digits):
    keras.utils.set_random_seed(0)
    network = models.lenet_300_100((8, 8, 1))
    network = keras.Sequential(
        [network.layers[0], keras.layers.BatchNormalization(), *network.layers[1:]]
    )
    network.build((None, 8, 8, 1))
    model = AdversarialModel(sparsify(network), ATTACK)
    model.compile(jit_update=False, run_eagerly=True)
    (normalization,) = [x for x in model.network.layers if "normalization" in x.name]
    means = []
    begin = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: means.append(normalization.moving_mean.numpy())
    )
    procedure = LotteryTicket(rounds=2, iterations=3, evaluate_every=3, strategy=name)
    procedure.run(model, digits[0], lambda: {}, callbacks=[begin])
    first, second = means
    assert np.all(first == 0)
    assert np.all(second == 0) == (name != "continued")


def test_each_round_prunes_the_smallest_trained_weights(whole):
    _, records, seen = whole("original")
    rates = (0.2, 0.2, 0.1)
    for number in (1, 2):
        layers = zip(
            seen.masks[number - 1],
            seen.masks[number],
            seen.trained[number - 1, 5],
            rates,
            strict=True,
        )
        for old, new, trained, rate in layers:
            active = int(old.sum())
            assert new.sum() == active - round(rate * active)
            assert np.all(new <= old)
            assert np.abs(trained[new == 1]).min() >= np.abs(trained[(old > new)]).max()
    sizes = [mask.size for mask in seen.masks[0]]
    for record in records:
        kept = [int(mask.sum()) for mask in seen.masks[record["round"]]]
        assert record["density"] == sum(kept) / sum(sizes)
        assert list(record["layers"].values()) == [a / b for a, b in zip(kept, sizes, strict=True)]


def test_records(whole):
    model, records, seen = whole("late")
    places = [(record["round"], record["iteration"]) for record in records]
    assert places == [(number, iteration) for number in range(3) for iteration in (2, 4, 5)]
    assert list(records[0]["layers"]) == ["hidden_1", "hidden_2", "logits"]
    for record in records:
        assert record["train"].keys() == {"loss", "robust_accuracy"}
        trained = seen.trained[record["round"], record["iteration"]]
        assert record["sum"] == float(sum(np.sum(kernel, dtype=np.float64) for kernel in trained))
    assert records[-1]["sum"] == figures(model)["sum"]


def test_hooks_come_in_order(digits):
    model, events = make_model(run_eagerly=True), []
    LotteryTicket(rounds=2, iterations=2, evaluate_every=1).run(
        model,
        digits[0],
        lambda: events.append("evaluate") or {},
        on_start=lambda records: events.append(("start", len(records))),
        on_record=lambda record: events.append((record["round"], record["iteration"])),
        on_round_end=lambda number: events.append(("end", number, int(model.step))),
    )
    assert events == [
        ("start", 0),
        *("evaluate", (0, 1), "evaluate", (0, 2), ("end", 0, 2)),
        *("evaluate", (1, 1), "evaluate", (1, 2), ("end", 1, 4)),
    ]


def test_other_pruners(digits):
    procedure = LotteryTicket(rounds=3, iterations=1, evaluate_every=1)
    eager = dict(run_eagerly=True)
    _, records, _ = run(procedure, digits, compiled=eager, pruner=LayerRates(0.5, 0.5))
    assert [record["density"] for record in records] == [1, 0.5, 0.25]


def test_seed_decides_on_everything(digits, whole):
    model, records, _ = whole("random")
    again, records_again, _ = run(PROCEDURES["random"], digits)
    other, records_other, _ = run(PROCEDURES["random"], digits, seed=2)
    np.testing.assert_equal(state(again), state(model))
    assert records_again == records
    assert np.any(kernels(other)[0] != kernels(model)[0])
    assert records_other[0]["sum"] != records[0]["sum"]


def test_training_is_that_of_an_ordinary_fit(digits, whole):
    """The first round is `fit`, whatever the evaluations in between."""
    _, _, seen = whole("original")
    plain = make_model()
    plain.fit(digits[0], epochs=1, steps_per_epoch=5, verbose=0)
    np.testing.assert_equal(kernels(plain), seen.trained[0, 5])


def assert_traced_in_the_first_round_only(seen):
    assert len(seen.traces_after) == 3
    assert seen.traces_after[0] == seen.traces_after[2] > 0


@every_procedure
def test_later_rounds_trace_nothing_anew(name, whole):
    assert_traced_in_the_first_round_only(whole(name)[2])


def test_steps_per_execution_trace_nothing_anew(digits, whole):
    """Nor do they change a bit, though they do not divide the steps between evaluations."""
    model, records, _ = whole("late")
    again, again_records, seen = run(
        PROCEDURES["late"], digits, compiled=dict(steps_per_execution=2)
    )
    assert_traced_in_the_first_round_only(seen)
    np.testing.assert_equal(state(again), state(model))
    assert again_records == records


def test_first_round_of_other_length(digits, whole):
    longer = dataclasses.replace(PROCEDURES["trained_dense"], dense_iterations=7, rounds=2)
    _, records, seen = run(longer, digits)
    assert [(r["round"], r["iteration"]) for r in records] == [
        *[(0, iteration) for iteration in (2, 4, 6, 7)],
        *[(1, iteration) for iteration in (2, 4, 5)],
    ]
    assert records[:2] == whole("trained_dense")[1][:2]
    dense = [w * mask for w, mask in zip(seen.trained[0, 7], seen.masks[1], strict=True)]
    np.testing.assert_equal(seen.starts[1], dense)


@pytest.mark.parametrize("lengths", [(3, 5), (5, 5), (8, 5), (1, 1)])
def test_places_of_steps(lengths):
    procedure = LotteryTicket(rounds=4, dense_iterations=lengths[0], iterations=lengths[1])
    counted = [(number, i + 1) for number in range(4) for i in range(procedure.length(number))]
    assert procedure.steps_before(4) == len(counted) == lengths[0] + 3 * lengths[1]
    assert [procedure.place(step + 1) for step in range(len(counted))] == counted
    assert [procedure.steps_before(n) + i for n, i in counted] == list(range(1, len(counted) + 1))


def test_further_evaluations_change_nothing_else(digits, whole):
    """Each is made once, also where it is a regular one."""
    model, records, _ = whole("original")
    procedure = dataclasses.replace(PROCEDURES["original"], evaluate_at=["3", "4"])
    again, more, _ = run(procedure, digits)
    np.testing.assert_equal(state(again), state(model))
    assert [record["iteration"] for record in more] == 3 * [2, 3, 4, 5]
    regular = [record for record in more if record["iteration"] != 3]
    assert [record["sum"] for record in regular] == [record["sum"] for record in records]


def test_loss_that_is_not_finite_names_the_iteration(digits, tmp_path):
    store, model = CheckpointStore(str(tmp_path)), make_model(rate=1e30)
    with pytest.raises(TrainingError, match="not finite at iteration 2 of round 0"):
        PROCEDURES["original"].run(model, digits[0], lambda: {}, store=store)
    assert store.load() is None


@pytest.mark.parametrize("compiled", [dict(), dict(steps_per_execution=5)], ids=str)
def test_loss_that_is_not_finite_in_a_later_round(compiled, digits, tmp_path):
    """The checkpoint from before stays."""
    store, model = CheckpointStore(str(tmp_path)), make_model(**compiled)

    def break_weights(number):
        model.optimizer.learning_rate = 1e30

    with pytest.raises(TrainingError, match="not finite at iteration 2 of round 1"):
        PROCEDURES["original"].run(
            model, digits[0], lambda: {}, store=store, on_round_end=break_weights
        )
    _, meta = store.load()
    assert (meta["round"], meta["iteration"]) == (0, 5)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(strategy="best"), "strategy=best: must be one of original, random, continued"),
        (dict(rewind_to="end"), "rewind_to=end: must be one of initial, trained_dense"),
        (dict(rounds=0), "rounds=0: must be at least 1"),
        (dict(iterations=0), "iterations=0: must be at least 1"),
        (dict(evaluate_every=0), "evaluate_every=0: must be at least 1"),
        (dict(rewind_step=-1), "rewind_step=-1: must be at least 0"),
        (dict(dense_iterations=-1), "dense_iterations=-1: must be at least 1"),
        (dict(rewind_step=6, iterations=5), "rewind_step=6: must be at most 5, the first round's"),
        (dict(rewind_step=6, iterations=9, dense_iterations=5), "must be at most 5, the first"),
        (dict(rewind_step=1, rewind_to="trained_dense"), "rewind_step=1: must be 0 with"),
        (dict(evaluate_at=["6"], iterations=5), "evaluate_at=6: must be whole .* iterations=5"),
        (dict(evaluate_at=[0, 1]), "evaluate_at=0,1: must be whole numbers from 1"),
        (dict(evaluate_at=["two"]), "evaluate_at=two: must be whole numbers from 1"),
    ],
)
def test_lottery_ticket_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        LotteryTicket(**arguments)


def test_whole_runs_warn_of_nothing(digits, tmp_path):
    store = CheckpointStore(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run(LotteryTicket(rounds=1, iterations=1, evaluate_every=5), digits, store=store)
