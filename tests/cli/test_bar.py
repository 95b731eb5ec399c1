"""Progress of a command, on a terminal and elsewhere."""

import io
import re

import pytest
from rich.console import Console

from experiments.cli import bar


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, which is only what tests make of it."""
    now = [0.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: now[0])
    return now


def shown(clock: list[float], *, terminal: bool) -> str:
    """All that is written of two works, with 20 s for each step; colours are left out."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80)
    with bar.Bar("images", console) as display:
        for work, done, now in [
            ("pgd", 10, ""),
            ("pgd", 20, ""),
            ("pgd", 30, ""),
            ("fab", 10, "now"),
            ("fab", 15, "[bold]"),
        ]:
            display.show(work, done, 40, now)
            clock[0] += 20
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_lines_now_and_then(clock):
    """With the time left, where it is known, of this work alone."""
    assert shown(clock, terminal=False).splitlines() == [
        "pgd: 30 of 40 images, 20 s left",
        "fab: 15 of 40 images, [bold], 2 min left",
    ]


def test_a_bar_on_a_terminal(clock):
    text = shown(clock, terminal=True)
    assert re.search(r"fab ━+.* 15/40 images, \[bold\], 2 min left", text)
    assert "of 40" not in text
