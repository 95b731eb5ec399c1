"""Measures exported files: size, latency, memory, accuracy and robust accuracy."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable

import numpy as np
import tf_keras as keras

from robust_sparse_tf.attacks import Ball, Square
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.evaluation.robustness import evaluate
from robust_sparse_tf.export.exporting import Exported, Exports
from robust_sparse_tf.export.file_robustness import (
    FileRobustness,
    gradient_attacks,
    robust_accuracy,
    worst,
)
from robust_sparse_tf.export.kernels import kernels
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.record import ExportReport, ExportRow
from robust_sparse_tf.export.storage import entropy_bound
from robust_sparse_tf.export.tflite import to_tflite
from robust_sparse_tf.export.timing import Latency, latencies, peak_memory
from robust_sparse_tf.options import checked, require, require_function

Show = Callable[[str, int, int], None]

_DENSE = "the dense network"
_QUERIES = 1000  # of Square
_COMPARED = 1000  # images on which a twin must predict what its file predicts


def measure(
    exports: Exports,
    model: keras.Model,
    test: Split,
    *,
    ball: Ball | None,
    name: str,
    attacked: int = 200,
    calls: int = 300,
    seed: int = 0,
    on_file: Show = lambda work, done, total: None,
) -> ExportReport:
    """Measures the files of a model; those of TFLite also by latency, memory and attacks.

    Latencies of all files, and of a dense float32 file of the same architecture with random
    weights, alternate in one process.

    Args:
        exports: from `to_formats`.
        model: the model that was exported.
        test: test images.
        ball: threat model of the attacks; None for no attacks.
        name: name of the model in the report.
        attacked: attack the files on this many of the first test images.
        calls: inferences that are timed per file; 0 for none.
        seed: of everything random.
        on_file: called with progress: (work, files done, all files).
    """
    require("exports", exports, Exports)
    require("test", test, Split)
    require("ball", ball, Ball, type(None))
    require_function("on_file", on_file, 3)
    name, seed = checked("name", name, str), checked("seed", seed, int)
    calls = checked("calls", calls, int, minimum=0)
    attacked = checked("attacked", attacked, int, minimum=0)
    network = plain(model)
    dense, times, notes = _times(network, exports, calls)
    kept = [np.asarray(kernel) for kernel in kernels(network).values()]
    size = sum(kernel.size for kernel in kept)
    attacker = _Attacker(network, test, ball, attacked, seed) if ball and attacked else None
    rows, of_network = [], entropy_bound(network)
    for number, each in enumerate(exports.written):
        on_file("measuring", number, len(exports.written))
        is_tflite = bool(each.format.quantization)
        found = attacker.of_file(each.path) if attacker and is_tflite else None
        bound = entropy_bound(each.path) if is_tflite else of_network
        rows.append(_row(each, times.get(each.format.name), found, bound))
    return ExportReport(
        model=name,
        density=sum(int(np.count_nonzero(kernel)) for kernel in kept) / max(size, 1),
        norm=ball.norm if ball else "",
        epsilon=float(ball.epsilon) if ball else 0.0,
        examples=attacker.few.size if attacker else 0,
        keras_clean=float(attacker.report.right.mean()) if attacker else None,
        keras_robust=float(worst(attacker.report).mean()) if attacker else None,
        dense_bytes=dense,
        dense_median=times[_DENSE].median if _DENSE in times else None,
        rows=tuple(rows),
        refused=exports.refused,
        notes=(*exports.notes, *notes),
    )


class _Attacker:
    """Attacks files of a network on some test images.

    Attributes:
        few: the images.
        report: the network's own robustness, under the attacks that a file's twin gets.
    """

    def __init__(
        self, network: keras.Model, test: Split, ball: Ball, attacked: int, seed: int
    ) -> None:
        self.few, self._network, self._ball, self._seed = test.first(attacked), network, ball, seed
        self._compared = test.images[:_COMPARED]
        square = Square(queries=_QUERIES, **dataclasses.asdict(ball))
        self.report = evaluate(
            network,
            self.few,
            {"square": square, **gradient_attacks(ball, test.num_classes)},
            ball=ball,
            seed=seed,
            check_masking=False,
            verbose=False,
        )

    def of_file(self, path: str) -> FileRobustness:
        """The robustness of a file."""
        return robust_accuracy(
            path,
            self.few,
            ball=self._ball,
            model=self._network,
            compared=self._compared,
            queries=_QUERIES,
            seed=self._seed,
            verbose=False,
        )


def _times(
    network: keras.Model, exports: Exports, calls: int
) -> tuple[int | None, dict[str, Latency], list[str]]:
    """Bytes of the dense file, latencies by format, and a note if there is no dense file."""
    paths = {each.format.name: each.path for each in exports.written if each.format.quantization}
    with tempfile.TemporaryDirectory() as folder:
        dense = os.path.join(folder, "dense.tflite")
        try:
            count: int | None = to_tflite(keras.models.clone_model(network), dense, sparse=False)
            notes = []
        except (InputError, TrainingError) as error:
            count, notes = None, [f"no dense file to compare with: {error}"]
        if count is not None:
            paths[_DENSE] = dense
        return count, latencies(paths, calls) if calls and paths else {}, notes


def _row(
    each: Exported, latency: Latency | None, found: FileRobustness | None, total: int | None
) -> ExportRow:
    """The row of a file."""
    is_tflite = bool(each.format.quantization)
    accuracies = dict(found.accuracies) if found else {}
    return ExportRow(
        format=each.format.name,
        file=os.path.basename(each.path),
        compacted=each.compacted,
        bytes=each.bytes,
        gzip_bytes=each.gzip_bytes,
        entropy_bytes=total,
        images=each.verification.images,
        agreement=each.verification.agreement,
        difference=each.verification.difference,
        median=latency.median if latency else None,
        p95=latency.p95 if latency else None,
        memory=peak_memory(each.path) if is_tflite else None,
        clean=accuracies.pop("clean", None),
        robust=found.accuracy if found else None,
        attacks=accuracies,
        twin=(found.left_out or f"it {found.agreement}") if found else "",
    )
