"""What a sweep shows while it runs: one display on a terminal, lines elsewhere."""

import os
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from experiments.sweeps.process import last_line
from experiments.sweeps.scheduler import Event, Job


class SweepProgress:
    """Shows how many cells are done, and on a terminal what each that runs printed last.

    Args:
        details: what is said of a cell beside its name, for the names of all cells in order.
        done: how many cells were finished before.
        console: where to (default: standard output).
    """

    def __init__(
        self, details: Mapping[str, str], done: int, console: Console | None = None
    ) -> None:
        self._details = details
        self._running: dict[Job, float] = {}  # since when, on the monotonic clock
        self._failed = 0
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("cells"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            expand=True,
        )
        self._task = self._bar.add_task("", total=len(details), completed=done, failed="")
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=1)

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, job: Job, event: Event, why: str) -> None:
        """Shows what happens to a cell's job; see `scheduler.run`."""
        place = list(self._details).index(job.name) + 1
        label = f"cell {place}/{len(self._details)} {job.name}"
        if event is Event.STARTED:
            self._running[job] = time.monotonic()
            self._say(f"{label} {self._details[job.name]}")
        elif event is Event.AGAIN:
            del self._running[job]
            self._print(f"{label}: is tried again, {why}")
        elif event is Event.DONE:
            self._say(f"{label}: done in {self._count(job):.0f} s")
        elif event is Event.FAILED:
            self._failed += 1
            self._count(job)
            self._print(f"{label}: failed, {why}")

    def _count(self, job: Job) -> float:
        """Counts an ended job; returns the seconds that it took."""
        failed = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, failed=failed)
        return time.monotonic() - self._running.pop(job)

    def _say(self, line: str) -> None:
        """Prints what the display of a terminal shows by itself."""
        if not self._console.is_terminal:
            self._print(line)
            self._console.file.flush()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> Group:
        """The bar, and a line for each cell that runs."""
        lines = [Text(f"{job.name}  {_said(job)}", no_wrap=True) for job in list(self._running)]
        return Group(*lines, self._bar)


def _said(job: Job) -> str:
    """What a job printed last."""
    return last_line(job.log) if os.path.exists(job.log) else ""
