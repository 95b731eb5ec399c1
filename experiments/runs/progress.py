"""What a run shows while it runs: a progress bar on a terminal, lines elsewhere."""

import time
from typing import Any

import tf_keras as keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from robust_sparse_tf.procedures import Record, Rounds


class RunProgress(keras.callbacks.Callback):
    """Shows round, iteration, speed, loss, accuracies and time left.

    Args:
        procedure: that is run.
    """

    def __init__(self, procedure: Rounds) -> None:
        super().__init__()
        self._procedure = procedure
        self._console = Console()
        self._bar = Progress(
            TextColumn("round {task.fields[round]}/" + str(procedure.rounds - 1)),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[iteration]}/{task.fields[length]}"),
            TextColumn("{task.fields[speed]:.0f} steps/s  loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task(
            "",
            total=procedure.steps_before(procedure.rounds),
            round=0,
            iteration=0,
            length=procedure.length(0),
            speed=0.0,
            loss=float("nan"),
            figures="",
        )
        self._mark, self._speed = (0, 0.0), 0.0

    def __enter__(self) -> "RunProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def on_start(self, records: list[Record]) -> None:
        """Says where a resumed run continues."""
        if records:
            last = records[-1]
            self._console.print(
                f"continuing after round {last['round']} iteration {last['iteration']}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock of the speed, so that evaluations do not count."""
        self._mark = (int(self.model.step.numpy()), time.monotonic())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar; called once every `steps_per_execution` steps."""
        step, (first, start) = int(self.model.step.numpy()), self._mark
        self._speed = (step - first) / max(time.monotonic() - start, 1e-9)
        number, iteration = self._procedure.place(step)
        self._bar.update(
            self._task,
            completed=step,
            round=number,
            iteration=iteration,
            length=self._procedure.length(number),
            speed=self._speed,
            loss=(logs or {}).get("loss", float("nan")),
        )

    def on_record(self, record: Record) -> None:
        """Shows the figures of an evaluation."""
        test = record["test"]
        figures = f"clean {100 * test['clean_accuracy']:.1f} %"
        for name, value in test["robust_accuracy"].items():
            figures += f"  {name} {100 * value:.1f} %"
        self._bar.update(self._task, figures=figures)
        if not self._console.is_terminal:
            print(
                f"round {record['round']} iteration {record['iteration']} "
                f"density {100 * record['density']:.1f} % loss {record['train']['loss']:.3f} "
                f"{figures} ({self._speed:.0f} steps/s)",
                flush=True,
            )
