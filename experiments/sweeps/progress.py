"""Progress of a sweep: a display on a terminal, lines elsewhere."""

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
from robust_sparse_tf.durations import in_words


class SweepProgress:
    """Shows which cells are done, and the time left.

    On a terminal it also shows the last output of each running cell.

    Args:
        labels: labels of the cells, by their names, in order.
        done: number of cells that were finished before.
        console: where to write (default: standard output).
    """

    def __init__(
        self, labels: Mapping[str, str], done: int, console: Console | None = None
    ) -> None:
        self._labels = labels
        self._running: dict[Job, float] = {}  # start times, on the monotonic clock
        self._waiting = len(labels) - done
        self._lanes = 1  # maximum cells that ran in parallel
        self._seconds: list[float] = []  # of each finished cell
        self._failed = 0
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("cells"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            expand=True,
        )
        self._task = self._bar.add_task("", total=len(labels), completed=done, failed="", left="")
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=1)

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, job: Job, event: Event, why: str) -> None:
        """Shows an event of a cell's job; see `scheduler.run`."""
        place = list(self._labels).index(job.name) + 1
        label = f"cell {place}/{len(self._labels)} {self._labels[job.name]}"
        if event is Event.STARTED:
            self._waiting -= 1
            self._running[job] = time.monotonic()
            self._lanes = max(self._lanes, len(self._running))
            if not self._console.is_terminal:  # the display shows it
                self._print(f"{label}: starts ({job.name})")
            return
        seconds = time.monotonic() - self._running.pop(job)
        if event is Event.AGAIN:
            self._waiting += 1
            self._print(f"{label}: will be retried, {why}")
            return
        if event is Event.DONE:
            self._seconds.append(seconds)
            left = self._left()
            self._print(f"{label}: done in {in_words(seconds)}" + (f", {left}" if left else ""))
        else:
            self._failed += 1
            self._print(f"{label}: failed, {why} ({job.name})")
        failed = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, failed=failed)

    def _left(self) -> str:
        """The time left, if the remaining cells take as long as the finished ones."""
        if not self._seconds or not self._waiting + len(self._running):
            return ""
        each, now = sum(self._seconds) / len(self._seconds), time.monotonic()
        rest = [max(0.0, each - (now - start)) for start in self._running.values()]
        rest += [each] * self._waiting
        seconds = max(sum(rest) / self._lanes, *rest)
        return f"{in_words(seconds)} left"

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    def _render(self) -> Group:
        """The bar, and a line per running cell."""
        self._bar.update(self._task, left=self._left())
        lines = [
            Text(f"{self._labels[job.name]}  {_said(job)}", no_wrap=True, overflow="ellipsis")
            for job in list(self._running)
        ]
        return Group(*lines, self._bar)


def _said(job: Job) -> str:
    """The last output of a job; its log begins with the command line."""
    said = last_line(job.log) if os.path.exists(job.log) else ""
    return "starts" if not said or said.startswith("$ ") else said
