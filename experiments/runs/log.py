"""metrics.jsonl and TensorBoard's event files, both made from a run's records."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from etils import epy

from experiments.runs import records as metrics
from experiments.runs.directory import RunDirectory
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import Rounds
from robust_sparse_tf.procedures.records import Record

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation import Figures

with epy.lazy_imports():
    import tensorflow as tf


class RunLog:
    """Writes each record twice, and after a restart only those that the checkpoint knows.

    Args:
        directory: the run's directory.
        procedure: whose steps are TensorBoard's single axis.
    """

    def __init__(self, directory: RunDirectory, procedure: Rounds) -> None:
        self._directory = directory
        self._events = directory.file("tensorboard")
        self._procedure = procedure

    def start(self, records: list[Record]) -> None:
        """Brings both files to the state of the checkpoint."""
        if os.path.exists(self._events) and not os.path.isdir(self._events):
            raise InputError(f"{self._events}: is a file, where a folder belongs; move it away")
        metrics.write(self._directory.path, records)
        shutil.rmtree(self._events, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(self._events)
        self._summarise(records)

    def add(self, record: Record) -> None:
        """Appends a record."""
        metrics.append(self._directory.path, record)
        self._summarise([record])

    def _summarise(self, records: list[Record]) -> None:
        with files.naming(self._events):
            for record in records:
                self._scalars(record)
            self._writer.flush()

    def _scalars(self, record: Record) -> None:
        step = self._procedure.steps_before(record["round"]) + record["iteration"]
        with self._writer.as_default(step=step):
            tf.summary.scalar("density", record["density"])
            for name in ("active", "changed", "exploration", "no_input", "no_output", "bytes"):
                tf.summary.scalar(f"sparsity/{name}", record["sparsity"][name])
            for name, density in record["layers"].items():
                tf.summary.scalar(f"density/{name}", density)
            for name, value in record["train"].items():
                tf.summary.scalar(f"train/{name}", value)
            for split, figures in (("validation", record["validation"]), ("test", record["test"])):
                self._of_split(split, figures)

    def _of_split(self, split: str, figures: Figures) -> None:
        of_attacks = figures["robust_loss"], figures["robust_accuracy"]
        clean = figures["clean_loss"], figures["clean_accuracy"]
        for name, own, robust in zip(("loss", "accuracy"), clean, of_attacks, strict=True):
            tf.summary.scalar(f"{split}/clean_{name}", own)
            for attack, value in robust.items():
                tf.summary.scalar(f"{split}/{attack}_{name}", value)
