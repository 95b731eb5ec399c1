"""What a sweep shows, on a terminal and elsewhere."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from experiments.sweeps import progress
from experiments.sweeps.scheduler import Event, Job

LABELS = {"one": "rigl 10 % seed 0", "two": "rigl 10 % seed 1", "three": "dense seed 0"}


@pytest.fixture
def cells(tmp_path) -> list[Job]:
    return [Job(name, (), str(tmp_path / name)) for name in LABELS]


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> list[float]:
    """The time, which is only what tests make of it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(cells: list[Job], events: list[tuple[int, Event, str]], *, terminal: bool) -> str:
    """All that is written of some events, after which the display looks once more.

    Colours are left out.
    """
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with progress.SweepProgress(LABELS, 1, console) as display:
        for number, event, why in events:
            display.show(cells[number], event, why)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


EVENTS = [
    (1, Event.STARTED, ""),
    (1, Event.AGAIN, "loss [bold]"),
    (2, Event.STARTED, ""),
    (2, Event.DONE, ""),
    (1, Event.STARTED, ""),
    (1, Event.FAILED, "loss"),
]


def test_lines(cells):
    assert shown(cells, EVENTS, terminal=False).splitlines() == [
        "cell 2/3 rigl 10 % seed 1: starts (two)",
        "cell 2/3 rigl 10 % seed 1: will be retried, loss [bold]",
        "cell 3/3 dense seed 0: starts (three)",
        "cell 3/3 dense seed 0: done in 0 s, 0 s left",
        "cell 2/3 rigl 10 % seed 1: starts (two)",
        "cell 2/3 rigl 10 % seed 1: failed, loss (two)",
    ]


def test_terminal(cells):
    """What has ended stays; the rest is one display, with the last line of each cell that runs."""
    Path(cells[1].log).write_text("$ run\nround 0 iteration 5\n")
    text = shown(cells, EVENTS[:4], terminal=True)
    assert "cell 2/3 rigl 10 % seed 1: will be retried, loss [bold]" in text
    assert "cell 3/3 dense seed 0: done in 0 s, 0 s left" in text
    last = text.split("done in")[-1]
    assert "2/3" in last and "round 0" not in last  # the second one does not run now
    text = shown(cells, EVENTS[:1], terminal=True)
    assert "rigl 10 % seed 1  round 0 iteration 5" in text
    text = shown(cells, EVENTS, terminal=True)
    assert "3/3 1 failed" in text and "seed 1: failed, loss (two)" in text


@pytest.mark.parametrize("log", [None, "", "$ python -m experiments.chain run --seed=1\n"])
def test_a_cell_that_has_printed_nothing_has_a_name(cells, log):
    if log is not None:
        Path(cells[1].log).write_text(log)
    text = shown(cells, EVENTS[:1], terminal=True)
    assert "rigl 10 % seed 1  starts" in text and "$" not in text


@pytest.mark.parametrize(
    ("lanes", "left"),
    [
        (1, "2 min"),  # two cells that wait, of 75 s each
        (2, "75 s"),  # one that waits, and one that takes long already
    ],
)
def test_time_left(clock, lanes, left):
    jobs = [Job(str(number), (), "") for number in range(4)]
    console = Console(file=io.StringIO())
    display = progress.SweepProgress({job.name: job.name for job in jobs}, 0, console)
    for job in jobs[:lanes]:
        display.show(job, Event.STARTED, "")
    clock[0] = 100
    display.show(jobs[0], Event.DONE, "")
    display.show(jobs[lanes], Event.STARTED, "")
    clock[0] = 150
    display.show(jobs[lanes], Event.DONE, "")
    shown = console.file.getvalue().splitlines()[-1]
    assert shown.endswith(f"done in 50 s, {left} left")
