"""Rounds of training without a hook, and with one that keeps something."""

import itertools

import numpy as np
import pytest
from lottery_runs import figures, kernels, make_model, state

from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import BetweenRounds, CheckpointStore, LotteryTicket, Rounds
from robust_sparse_tf.training import AdversarialModel

SHORT = dict(rounds=2, iterations=3, evaluate_every=2)


class Stop(Exception):
    """Stands for a process that is killed."""


class Halve(BetweenRounds):
    """Halves the weights of the first stop, and starts each round with them."""

    stops = (1,)

    def __init__(self, model: AdversarialModel) -> None:
        self.model, self.kept, self.calls = model, [], []

    def on_stop(self, number, iteration):
        self.calls.append((number, iteration))
        if (number, iteration) == (0, 1):
            self.kept = [weight / 2 for weight in self.model.network.get_weights()]

    def start_round(self, number, train):
        self.calls.append(number)
        self.model.network.set_weights(self.kept)

    def state(self):
        return self.kept

    def restore(self, state):
        self.kept = state


def run(digits, between=None, model=None, schedule=None, **arguments):
    model = model or make_model(run_eagerly=True)
    hook = between(model) if between else None
    schedule = schedule or Rounds(**SHORT)
    records = schedule.run(model, digits[0], lambda: figures(model), between=hook, **arguments)
    return model, hook, records


@pytest.fixture(scope="module")
def halved(digits):
    """Model, hook and records of a run with a hook. Not to be changed by a test."""
    return run(digits, Halve)


def test_without_a_hook_rounds_go_on_with_their_weights(digits):
    """And nothing is pruned; the first round is that of a run with one."""
    model, _, records = run(digits, model=make_model())
    places = [(record["round"], record["iteration"]) for record in records]
    assert places == list(itertools.product((0, 1), (2, 3)))
    assert {record["density"] for record in records} == {1}
    assert model.optimizer.iterations == 3
    _, _, once = run(digits, model=make_model(), schedule=Rounds(**SHORT | dict(rounds=1)))
    assert records[:2] == once


def test_one_round_is_that_of_the_lottery(digits):
    """Methods that train once end with the bits of a first round."""
    schedule = dict(rounds=1, iterations=5, evaluate_every=2)
    model, _, records = run(digits, schedule=Rounds(**schedule))
    ticket = make_model(run_eagerly=True)
    expected = LotteryTicket(**schedule).run(ticket, digits[0], lambda: figures(ticket))
    np.testing.assert_equal(state(model), state(ticket))
    assert records == expected


def test_hooks_see_each_stop_and_each_new_round(halved):
    _, hook, records = halved
    assert hook.calls == [(0, 1), (0, 2), (0, 3), 1, (1, 1), (1, 2), (1, 3)]
    assert len(records) == 4, "a stop of the hook's is no evaluation"


def test_what_a_hook_keeps_is_resumed(digits, halved, tmp_path):
    """To the bit, after a kill at the end of the first round."""
    whole, _, records = halved
    store = CheckpointStore(str(tmp_path))

    def kill(number):
        raise Stop

    with pytest.raises(Stop):
        run(digits, Halve, store=store, on_round_end=kill)
    resumed, hook, resumed_records = run(digits, Halve, store=store)
    assert hook.calls[0] == 1
    assert resumed_records == records
    np.testing.assert_equal(kernels(resumed), kernels(whole))


@pytest.mark.parametrize(
    "short, long",
    [
        (dict(rounds=1), dict(rounds=2)),
        (dict(rounds=1, iterations=2), dict(rounds=1, iterations=5)),
    ],
    ids=["rounds", "iterations"],
)
def test_a_finished_run_goes_on_where_it_is_made_longer(short, long, digits, tmp_path):
    store = CheckpointStore(str(tmp_path))
    run(digits, Halve, schedule=Rounds(**SHORT | short), store=store)
    longer, _, records = run(digits, Halve, schedule=Rounds(**SHORT | long), store=store)
    whole, _, expected = run(digits, Halve, schedule=Rounds(**SHORT | long))
    assert records == expected
    np.testing.assert_equal(state(longer), state(whole))


def test_checkpoints_are_where_there_are_evaluations():
    schedule = Rounds(rounds=2, iterations=7, evaluate_every=3, evaluate_at=["2"])
    found = [i for i in range(1, 8) if schedule.is_evaluated(0, i)]
    assert found == [2, 3, 6, 7]
    stops, place = [], 0
    while place < 7:
        place = schedule.next_stop(0, place, further=(5,))
        stops.append(place)
    assert stops == [2, 3, 5, 6, 7]


def test_evaluations_by_epochs(digits):
    """Every second pass: 1,198 images in batches of 600 are two steps per epoch."""
    train = Split(digits[0].images, digits[0].labels, num_classes=10, batch_size=600, shuffle=True)
    model = make_model(run_eagerly=True)
    schedule = Rounds(rounds=1, iterations=9, evaluate_epochs=2, evaluate_at=["1"])
    records = schedule.run(model, train, lambda: figures(model))
    assert [record["iteration"] for record in records] == [1, 4, 8, 9]


def test_rounds_refuse():
    with pytest.raises(InputError, match="evaluate_epochs=0: must be at least 1"):
        Rounds(evaluate_epochs=0)
    with pytest.raises(InputError, match="rounds=0: must be at least 1"):
        Rounds(rounds=0)
    with pytest.raises(InputError, match="evaluate_at=6: must be whole .* iterations=5"):
        Rounds(evaluate_at=["6"], iterations=5)
