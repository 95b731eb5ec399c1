"""metrics.jsonl and TensorBoard's event files, both made from a run's records."""

from __future__ import annotations

import json
import shutil
from typing import Any

from etils import epy

from experiments.runs.directory import RunDirectory
from robust_sparse_tf import files
from robust_sparse_tf.procedures import Rounds

with epy.lazy_imports():
    import tensorflow as tf


class RunLog:
    """Writes each record twice, and after a restart only those that the checkpoint knows.

    Args:
        directory: the run's directory.
        procedure: whose steps are TensorBoard's single axis.
    """

    def __init__(self, directory: RunDirectory, procedure: Rounds) -> None:
        self._metrics = directory.file("metrics.jsonl")
        self._events = directory.file("tensorboard")
        self._procedure = procedure

    def start(self, records: list[dict[str, Any]]) -> None:
        """Brings both files to the state of the checkpoint."""
        files.write_text(self._metrics, "".join(json.dumps(record) + "\n" for record in records))
        shutil.rmtree(self._events, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(self._events)
        self._summarise(records)

    def add(self, record: dict[str, Any]) -> None:
        """Appends a record."""
        with files.naming(self._metrics), open(self._metrics, "a") as file:
            file.write(json.dumps(record) + "\n")
        self._summarise([record])

    def _summarise(self, records: list[dict[str, Any]]) -> None:
        with files.naming(self._events):
            for record in records:
                self._scalars(record)
            self._writer.flush()

    def _scalars(self, record: dict[str, Any]) -> None:
        step = self._procedure.steps_before(record["round"]) + record["iteration"]
        with self._writer.as_default(step=step):
            tf.summary.scalar("density", record["density"])
            for name in ("active", "changed", "exploration", "no_input", "no_output", "bytes"):
                tf.summary.scalar(f"sparsity/{name}", record["sparsity"][name])
            for name, density in record["layers"].items():
                tf.summary.scalar(f"density/{name}", density)
            for name, value in record["train"].items():
                tf.summary.scalar(f"train/{name}", value)
            for split in ("validation", "test"):
                for name in ("loss", "accuracy"):
                    tf.summary.scalar(f"{split}/clean_{name}", record[split][f"clean_{name}"])
                    for attack, value in record[split][f"robust_{name}"].items():
                        tf.summary.scalar(f"{split}/{attack}_{name}", value)
