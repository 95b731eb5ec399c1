"""What a sweep shows, on a terminal and elsewhere."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from experiments.sweeps.progress import SweepProgress
from experiments.sweeps.scheduler import Event, Job

DETAILS = {"one": "{'seed': 0}", "two": "{'seed': 1}", "three": "{'seed': 2}"}


@pytest.fixture
def cells(tmp_path) -> list[Job]:
    return [Job(name, (), str(tmp_path / name)) for name in DETAILS]


def shown(cells: list[Job], events: list[tuple[int, Event, str]], *, terminal: bool) -> str:
    """All that is written of some events, after which the display looks once more.

    Colours are left out, and how long a cell took.
    """
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with SweepProgress(DETAILS, 1, console) as progress:
        for number, event, why in events:
            progress.show(cells[number], event, why)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    return re.sub(r"done in \d+ s", "done in some s", text)


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
        "cell 2/3 two {'seed': 1}",
        "cell 2/3 two: is tried again, loss [bold]",
        "cell 3/3 three {'seed': 2}",
        "cell 3/3 three: done in some s",
        "cell 2/3 two {'seed': 1}",
        "cell 2/3 two: failed, loss",
    ]


def test_terminal(cells):
    """Failures stay; the rest is one display, with the last line of each cell that runs."""
    Path(cells[1].log).write_text("$ run\nround 0 iteration 5\n")
    text = shown(cells, EVENTS[:3], terminal=True)
    assert "cell 2/3 two: is tried again, loss [bold]" in text
    assert "cell 3/3" not in text
    last = text.split("three")[-1]
    assert "1/3" in last and "round 0" not in last  # the second one does not run now
    text = shown(cells, EVENTS[:1], terminal=True)
    assert "two  round 0 iteration 5" in text
    text = shown(cells, EVENTS, terminal=True)
    assert "3/3 1 failed" in text and "two: failed, loss" in text
