"""Progress of a command: a bar on a terminal, a line now and then elsewhere."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from robust_sparse_tf.durations import TimeLeft

_SILENCE = 30  # seconds after which a line is printed, where there is no terminal


class Bar:
    """Shows how much of some work is done, and how long the rest takes.

    What is printed meanwhile is above the bar, which goes at the end.

    Args:
        unit: what is counted, such as "images".
        console: where to (default: standard output).
    """

    def __init__(self, unit: str, console: Console | None = None) -> None:
        self._unit = unit
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[after]}", markup=False),
            console=self._console,
            expand=True,
            transient=True,
        )
        self._task = self._bar.add_task("compiling", total=None, after=unit)
        self._work = ""
        self._said = time.monotonic()

    def __enter__(self) -> "Bar":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, work: str, done: int, total: int, now: str = "") -> None:
        """Shows how far some work is.

        Args:
            work: its name; the time of another work tells nothing of this one's.
            done: how much of it is done.
            total: of it.
            now: what is done at the moment.
        """
        if work != self._work:
            self._work, self._left = work, TimeLeft()
        left = self._left.at(done, total)
        after = ", ".join(filter(None, [self._unit, now, left]))
        self._bar.update(self._task, description=work, completed=done, total=total, after=after)
        if not self._console.is_terminal and time.monotonic() - self._said > _SILENCE:
            self._said = time.monotonic()
            line = f"{work}: {done} of {total} {after}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._console.file.flush()
