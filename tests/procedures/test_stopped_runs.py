"""Runs that are killed, damaged or finished, and then end with the same bits."""

import itertools
import shutil

import numpy as np
import pytest
from lottery_runs import PROCEDURES, figures, make_model, run, state

from robust_sparse_tf.procedures import CheckpointStore, LotteryTicket
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import devices


class Stop(Exception):
    """Stands for a process that is killed."""


def run_with_stops(procedure, digits, store, stops):
    """Runs until it is done, killed at each of some events; a new model continues each time."""
    for stop in [*stops, None]:
        events, model = itertools.count(1), make_model()

        def event(*_, stop=stop, events=events):
            if next(events) == stop:
                raise Stop

        def evaluate(model=model, event=event):
            event()  # trained, and not yet recorded
            return figures(model)

        try:
            records = procedure.run(
                model, digits[0], evaluate, store=store, on_record=event, on_round_end=event
            )
        except Stop:
            continue
        assert stop is None, "it was not killed where it should have been"
        return model, records


# What is kept to rewind to, and numbers drawn again: the other procedures have less to resume.
@pytest.mark.parametrize(
    "name, stops",
    [
        # In an evaluation, after one, twice at the end of a round and in the middle of the second.
        ("late", [3, 4, 1, 3, 5]),
        # At the end of a round, and in an evaluation in the middle of the second.
        pytest.param("random", [7, 3], marks=pytest.mark.slow),
        *(
            pytest.param(name, [3, 4, 1, 3, 5], marks=pytest.mark.slow)
            for name in PROCEDURES
            if name != "late"
        ),
    ],
)
def test_stopped_runs_end_as_whole_ones(name, stops, digits, whole, tmp_path):
    """To the bit, wherever they are killed."""
    model, records, _ = whole(name)
    store = CheckpointStore(str(tmp_path))
    resumed, resumed_records = run_with_stops(PROCEDURES[name], digits, store, stops)
    np.testing.assert_equal(state(resumed), state(model))
    assert resumed_records == records


def test_a_damaged_checkpoint_costs_no_bit(digits, whole, tmp_path):
    procedure, store = PROCEDURES["late"], CheckpointStore(str(tmp_path))
    model, records, _ = whole("late")
    with pytest.raises(Stop):
        stop_at(procedure, digits, store, number=5)
    damaged = max(tmp_path.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        resumed, resumed_records = run_with_stops(procedure, digits, store, [])
    np.testing.assert_equal(state(resumed), state(model))
    assert resumed_records == records


def stop_at(procedure, digits, store, number):
    model, count = make_model(), itertools.count(1)

    def on_record(record):
        if next(count) == number:
            raise Stop

    procedure.run(model, digits[0], lambda: figures(model), store=store, on_record=on_record)


def test_finished_runs_are_not_trained_again(digits, tmp_path):
    store = CheckpointStore(str(tmp_path))
    procedure, started = LotteryTicket(rounds=2, iterations=2, evaluate_every=1), []
    eager = dict(run_eagerly=True)
    model, records, _ = run(procedure, digits, compiled=eager, store=store)
    again, records_again, seen = run(
        procedure, digits, compiled=eager, store=store, on_start=started.extend
    )
    assert records_again == records == started
    assert not seen.trained
    np.testing.assert_equal(state(again), state(model))


def test_read_only_stores_are_read(digits, whole, tmp_path):
    store = CheckpointStore(str(tmp_path))
    reader = CheckpointStore(str(tmp_path), read_only=True)
    short = LotteryTicket(rounds=1, iterations=1, evaluate_every=1)
    run(short, digits, compiled=dict(run_eagerly=True), store=reader)
    assert not list(tmp_path.iterdir())
    with pytest.raises(Stop):
        stop_at(PROCEDURES["original"], digits, store, number=4)
    before = sorted(path.name for path in tmp_path.iterdir())
    model, records, _ = whole("original")
    resumed, resumed_records, seen = run(PROCEDURES["original"], digits, store=reader)
    assert min(seen.trained) == (1, 3)
    assert resumed_records == records
    np.testing.assert_equal(state(resumed), state(model))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_runs_of_two_devices(digits, tmp_path):
    """Under MirroredStrategy as on one device: the same masks on both, and resumed to the bit."""
    procedure = LotteryTicket(rounds=2, iterations=3, evaluate_every=3)

    def mirrored():
        with devices.strategy("mirrored").scope():
            return make_model(jit_update=None)

    def keep(number):
        """What a run leaves that is killed at the end of the first round."""
        if not number:
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    whole, store = mirrored(), CheckpointStore(str(tmp_path / "whole"))
    records = procedure.run(
        whole, digits[0], lambda: figures(whole), store=store, on_round_end=keep
    )
    resumed, store = mirrored(), CheckpointStore(str(tmp_path / "killed"))
    assert store.load()[1]["round"] == 0
    resumed_records = procedure.run(resumed, digits[0], lambda: figures(resumed), store=store)
    assert resumed_records == records
    np.testing.assert_equal(state(resumed), state(whole))
    for entry in masked_weights(resumed.network):
        first, second = (copy.numpy() for copy in entry.mask.values)
        np.testing.assert_array_equal(first, second)
        assert set(np.unique(first)) == {0, 1}
