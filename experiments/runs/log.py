"""Writes metrics.jsonl and TensorBoard's event files from a run's records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etils import epy

from experiments.runs import records as metrics
from experiments.runs.directory import RunDirectory
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import Rounds
from robust_sparse_tf.procedures.records import Record

if TYPE_CHECKING:
    import tf_keras as keras

    from robust_sparse_tf.attacks import Attack
    from robust_sparse_tf.evaluation.checks import Check

with epy.lazy_imports():
    from robust_sparse_tf import export, summaries
    from robust_sparse_tf.summaries import event_files, log_format

FOLDER = "tensorboard"
_PICTURES = 20  # of each mask in a round, at most: TensorBoard keeps all in memory


def folder_of(run: str, number: int, rounds: int) -> str:
    """The folder for the events of a round; each of several rounds is a TensorBoard run.

    Args:
        run: its directory.
        number: of the round, from 0.
        rounds: how many there are.
    """
    events = os.path.join(run, FOLDER)
    return os.path.join(events, f"round_{number:02}") if rounds > 1 else events


def logged_folder(run: str, number: int) -> str | None:
    """The folder of a round's events, if it has any; see `folder_of`."""
    found = (folder_of(run, number, rounds) for rounds in (2, 1))
    return next(filter(os.path.isdir, found), None)


class RunLog:
    """Writes each record twice, and after a restart only those that the checkpoint knows.

    Args:
        directory: the run's directory.
        procedure: of its rounds.
        model: whose masks and weights are logged.
        attacks: of the records, by name.
        examples: how many the validation and the test split have.
        about: what the run is; see `summaries.RunInfo`.
    """

    def __init__(
        self,
        directory: RunDirectory,
        procedure: Rounds,
        model: keras.Model,
        attacks: Mapping[str, Attack],
        examples: Mapping[str, int],
        about: Mapping[str, Any],
    ) -> None:
        self._directory = directory
        self._procedure = procedure
        self._model, self._attacks = model, attacks
        self._examples, self._about = examples, about
        self._round = -1
        self._latest = 0  # the round of the newest record
        self._begun: set[int] = set()  # rounds whose log says what they are

    def start(self, records: list[Record]) -> None:
        """Sets both files back to the state of the checkpoint."""
        events = self._directory.file(FOLDER)
        if os.path.exists(events) and not os.path.isdir(events):
            raise InputError(f"{events}: is a file, but must be a folder; move it away")
        metrics.write(self._directory.path, records)
        numbers = {record["round"] for record in records}
        keeps = {self._folder(number) for number in numbers}
        for name in os.listdir(events) if os.path.isdir(events) else ():
            path = os.path.join(events, name)
            if os.path.isdir(path) and path not in keeps:
                shutil.rmtree(path, ignore_errors=True)
        if not records:
            shutil.rmtree(events, ignore_errors=True)
        self._latest = max(numbers, default=0)
        for number in sorted(numbers):
            self._continue(number, [each for each in records if each["round"] == number])

    def add(self, record: Record) -> None:
        """Appends a record."""
        metrics.append(self._directory.path, record)
        self._latest = record["round"]
        self._open(self._latest)
        with files.naming(self._folder(record["round"])):
            self._write(record)
            self._write_masks(record)
            self._writer.flush()

    def add_export(self, path: str, size: int) -> None:
        """Writes the size of the last round's TFLite file, and the time that it takes.

        Args:
            path: of the file.
            size: of the file in bytes.
        """
        self._open(self._latest)
        with files.naming(self._folder(self._latest)), self._writer.as_default():
            summaries.write_export(size, export.latency(path), self._procedure.length(self._latest))
            self._writer.flush()

    def add_check(self, found: Check, record: Record) -> None:
        """Writes a check that was made in training, as a report of that name."""
        self._open(record["round"])
        with self._writer.as_default():
            summaries.write_checks("training", [found], record["iteration"])

    def _continue(self, number: int, records: list[Record]) -> None:
        """Keeps a round's events up to the first record that they lack, and writes the others."""
        folder = self._folder(number)
        events = event_files.read(folder)
        logged = event_files.steps_of(events, log_format.ACCURACY)
        lacking = [record for record in records if record["iteration"] not in logged]
        last = lacking[0]["iteration"] - 1 if lacking else records[-1]["iteration"]
        kept = [event for event in events if event.step <= last]
        event_files.keep(folder, kept)
        if event_files.steps_of(kept, log_format.RUN):
            self._begun.add(number)
        left = [record for record in records if record["iteration"] > last]
        if left:
            self._open(number)
            with files.naming(folder):
                for record in left:
                    self._write(record)
                self._writer.flush()

    def _open(self, number: int) -> None:
        """Makes the writer of a round, if it is not that of the round before."""
        if number == self._round:
            return
        folder = self._folder(number)
        self._round, self._writer = number, summaries.writer_of(folder)
        self._masks, self._next = summaries.MaskWriter(), 0.0
        if number not in self._begun:
            self._begun.add(number)
            several = self._procedure.rounds > 1
            info = summaries.RunInfo(
                name=os.path.basename(self._directory.path),
                round=number if several else None,
                first_step=self._procedure.steps_before(number),
                **self._about,
            )
            with files.naming(folder), self._writer.as_default():
                summaries.write_run(info)

    def _folder(self, number: int) -> str:
        return folder_of(self._directory.path, number, self._procedure.rounds)

    def _write(self, record: Record) -> None:
        splits = {
            "validation": (record["validation"], self._examples["validation"]),
            "test": (record["test"], self._examples["test"]),
        }
        with self._writer.as_default():
            summaries.write_statistics(record["sparsity"], record["iteration"])
            summaries.write_metrics(record["train"], record["iteration"])
            summaries.write_accuracy(
                splits,
                self._attacks,
                record["iteration"],
                train=record["train"],
                round=record["round"] if self._procedure.rounds > 1 else None,
                first_step=self._procedure.steps_before(record["round"]),
            )

    def _write_masks(self, record: Record) -> None:
        """Masks, histograms and scalars of layers, at most `_PICTURES` times a round."""
        if record["iteration"] < self._next:
            return
        self._next = record["iteration"] + self._procedure.length(record["round"]) / _PICTURES
        with self._writer.as_default():
            self._masks.write(self._model.network, record["iteration"])
            summaries.write_histograms(self._model.network, record["iteration"])
            summaries.write_layers(record["sparsity"], record["iteration"])
