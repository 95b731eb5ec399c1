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
from robust_sparse_tf.export.record import ExportReport, ExportRow
from robust_sparse_tf.export.storage import entropy_bound
from robust_sparse_tf.export.tflite import to_tflite
from robust_sparse_tf.export.timing import Latency, latencies, peak_memory
from robust_sparse_tf.options import checked
from robust_sparse_tf.sparsity import strip

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
    calls = checked("calls", calls, int, minimum=0)
    attacked = checked("attacked", attacked, int, minimum=0)
    network = strip(model)
    dense, times, notes = _times(network, exports, calls)
    kept = [np.asarray(kernel) for kernel in kernels(network).values()]
    size = sum(kernel.size for kernel in kept)
    few = test.first(attacked) if ball and attacked else None
    keras_report = None
    if few is not None and ball is not None:
        square = Square(queries=_QUERIES, **dataclasses.asdict(ball))
        attacks = {"square": square, **gradient_attacks(ball, test.num_classes)}
        keras_report = evaluate(
            network, few, attacks, ball=ball, seed=seed, check_masking=False, verbose=False
        )
    rows = []
    for number, each in enumerate(exports.written):
        on_file("measuring", number, len(exports.written))
        found, bound = None, entropy_bound(network)
        if each.format.quantization:
            bound = entropy_bound(each.path)
            if few is not None and ball is not None:
                found = robust_accuracy(
                    each.path,
                    few,
                    ball=ball,
                    model=network,
                    compared=test.images[:_COMPARED],
                    queries=_QUERIES,
                    seed=seed,
                    verbose=False,
                )
        rows.append(_row(each, times.get(each.format.name), found, bound))
    return ExportReport(
        model=name,
        density=sum(int(np.count_nonzero(kernel)) for kernel in kept) / max(size, 1),
        norm=ball.norm if ball else "",
        epsilon=float(ball.epsilon) if ball else 0.0,
        examples=few.size if few is not None else 0,
        keras_clean=None if keras_report is None else float(keras_report.right.mean()),
        keras_robust=None if keras_report is None else float(worst(keras_report).mean()),
        dense_bytes=dense,
        dense_median=times[_DENSE].median if _DENSE in times else None,
        rows=tuple(rows),
        refused=exports.refused,
        notes=(*exports.notes, *notes),
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
