"""What a run shows while it trains, on a terminal and elsewhere."""

import io
import re
from types import SimpleNamespace

import pytest
import tensorflow as tf
from rich.console import Console

from experiments.runs import progress
from robust_sparse_tf.procedures import Rounds

RECORD = {
    "round": 0,
    "iteration": 100,
    "density": 0.1,
    "train": {"loss": 0.5},
    "test": {"clean_accuracy": 0.9, "robust_accuracy": {"pgd": 0.6}},
}


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> list[float]:
    """The time, which is only what tests make of it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(clock: list[float], rounds: int, *, terminal: bool, calls: int = 4) -> str:
    """All that is written of some calls of 25 steps, 40 s each; colours are left out."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80)
    step = tf.Variable(0)
    with progress.RunProgress(Rounds(rounds=rounds, iterations=200), console) as display:
        display.model = SimpleNamespace(step=step)
        display.on_start([])
        display.on_epoch_begin(0)
        for _ in range(calls):
            clock[0] += 40
            step.assign_add(25)
            display.on_train_batch_end(0, {"loss": 0.5})
        if calls:
            display.on_record(RECORD)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_lines_now_and_then(clock):
    assert shown(clock, 1, terminal=False).splitlines() == [
        "iteration 50/200 loss 0.500 (0.625 steps/s, 4 min left)",
        "iteration 100/200 loss 0.500 (0.625 steps/s, 3 min left)",
        "iteration 100 density 10.0 % loss 0.500 clean 90.0 %  pgd 60.0 % "
        "(0.625 steps/s, 3 min left)",
    ]


def test_rounds_are_named_where_there_are_several(clock):
    *_, last = shown(clock, 3, terminal=False).splitlines()
    assert last.startswith("round 0 iteration 100 ") and "13 min left" in last


def test_terminal(clock):
    """One bar, and below it the figures of the last evaluation."""
    text = shown(clock, 1, terminal=True)
    assert re.search(
        r"iteration 100/200  0.625 steps/s, 3 min left  loss 0.500 ━.*\s+"
        r"density 10.0 %  clean 90.0 %  pgd 60.0 %",
        text,
    )


def test_before_the_first_steps(clock):
    text = shown(clock, 1, terminal=True, calls=0)
    assert "compiling" in text and "nan" not in text and "iteration" not in text
    assert shown(clock, 1, terminal=False, calls=0) == ""
