"""Progress of a run: a bar on a terminal, lines elsewhere."""

import time
from typing import Any

import tf_keras as keras
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from robust_sparse_tf.durations import TimeLeft
from robust_sparse_tf.procedures import Record, Rounds

_SILENCE = 60  # seconds between lines if there is no terminal


class RunProgress(keras.callbacks.Callback):
    """Shows round, iteration, speed, time left, loss, density and accuracies.

    Args:
        procedure: the procedure that runs.
        console: where to write (default: standard output).
    """

    def __init__(self, procedure: Rounds, console: Console | None = None) -> None:
        super().__init__()
        self._procedure = procedure
        self._total = procedure.steps_before(procedure.rounds)
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), expand=True
        )
        self._task = self._bar.add_task("compiling", total=self._total)
        self._pace = self._figures = ""
        self._live = Live(get_renderable=self._render, console=self._console)
        self._left = TimeLeft()
        self._mark, self._said = (0, 0.0), time.monotonic()

    def __enter__(self) -> "RunProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def on_start(self, records: list[Record]) -> None:
        """Prints where a resumed run continues."""
        if records:
            last = records[-1]
            self._print(f"continuing after {self._place(last['round'], last['iteration'])}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock for the speed, so that evaluations do not count."""
        self._mark = (int(self.model.step.numpy()), time.monotonic())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar; called every `steps_per_execution` steps."""
        step, (first, start) = int(self.model.step.numpy()), self._mark
        number, iteration = self._procedure.place(step)
        length = self._procedure.length(number)
        speed = (step - first) / max(time.monotonic() - start, 1e-9)
        self._pace = f"{speed:.3g} steps/s"
        if left := self._left.at(step, self._total):
            self._pace += f", {left}"
        place = f"{self._place(number, iteration)}/{length}"
        loss = (logs or {}).get("loss", float("nan"))
        self._bar.update(
            self._task, completed=step, description=f"{place}  {self._pace}  loss {loss:.3f}"
        )
        if not self._console.is_terminal and time.monotonic() - self._said > _SILENCE:
            self._print(f"{place} loss {loss:.3f} ({self._pace})")

    def on_record(self, record: Record) -> None:
        """Shows the results of an evaluation."""
        test = record["test"]
        accuracies = {"clean": test["clean_accuracy"], **test["robust_accuracy"]}
        if "certified_accuracy" in test:
            accuracies["certified"] = test["certified_accuracy"]
        shown = "  ".join(f"{name} {100 * value:.1f} %" for name, value in accuracies.items())
        density = f"density {100 * record['density']:.1f} %"
        self._figures = f"{density}  {shown}"
        if not self._console.is_terminal:
            place = self._place(record["round"], record["iteration"])
            loss = record["train"]["loss"]
            self._print(f"{place} {density} loss {loss:.3f} {shown} ({self._pace})")

    def _place(self, number: int, iteration: int) -> str:
        """The position of a run; a single round is not named."""
        return f"round {number} " * (self._procedure.rounds > 1) + f"iteration {iteration}"

    def _print(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    def _render(self) -> Group:
        """The bar, and below it the last evaluation."""
        return Group(self._bar, Text(self._figures, no_wrap=True, overflow="ellipsis"))
