"""Progress of a command: a bar on a terminal, occasional lines elsewhere."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from robust_sparse_tf.durations import TimeLeft

_SILENCE = 30  # seconds between lines if there is no terminal


class Bar:
    """Shows how much work is done, and how long the rest takes.

    Other output appears above the bar, which disappears at the end.

    Args:
        unit: unit of the work, such as "images".
        console: where to write (default: standard output).
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
        """Shows the progress of some work.

        Args:
            work: name of the work; each work has its own time estimate.
            done: amount done.
            total: total amount.
            now: what is being done at the moment.
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
