"""Exports of sparse robust networks: bytes, latency and robust accuracy against the dense file.

Trains LeNet-300-100 and the Madry CNN on MNIST in several patterns, or uses what was trained
before, exports every network in the formats of TFLite, and measures the files. Latencies of the
files of a network, and of the dense float32 file of its architecture, alternate in one process. At
the end stand the front of all files, and the best file for each aim.

    python -m tools.bench_export [--output_dir=runs] [--networks=lenet,madry] [--store]
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from absl import app, flags

from experiments.reports import pareto
from experiments.runs import config
from robust_sparse_tf import files
from robust_sparse_tf.export import record
from robust_sparse_tf.export.record import ExportReport, ExportRow
from tools import store_results

_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs", "folder for the runs")
_STORE = flags.DEFINE_boolean("store", False, "copy the results to experiments/results/export")
_ATTACKED = flags.DEFINE_integer("attacked", 100, "images that are attacked", lower_bound=0)
_CALLS = flags.DEFINE_integer("calls", 1000, "inferences that are timed", lower_bound=1)
_NETWORKS = flags.DEFINE_list("networks", ["lenet", "madry"], "export_NAME.flags that are run")

FLAGFILES = "experiments/flagfiles/export_{}.flags"
FORMATS = (
    *("tflite_fp32", "tflite_fp32_sparse", "tflite_int8", "tflite_full_int8", "tflite_int4"),
)
STORED = os.path.join(store_results.RESULTS, "export")
POINT = 0.01  # the file may be this much less robust than the Keras model
DENSEST = 0.1


@dataclasses.dataclass(frozen=True)
class Aim:
    """How much smaller and faster than the dense float32 file a robust file is to be.

    Attributes:
        name: in words.
        structure: of the network's dense layers.
        formats: names of formats that count.
        smaller: in bytes.
        faster: median latency; 0 for any.
        gzipped: whether bytes are counted after gzip.
    """

    name: str
    structure: str
    formats: tuple[str, ...]
    smaller: float
    faster: float = 0.0
    gzipped: bool = False

    def of(self, report: ExportReport, row: ExportRow) -> dict[str, Any]:
        """What a file reaches."""
        size = row.gzip_bytes if self.gzipped else row.bytes
        smaller, faster = (report.dense_bytes or 0) / size, report.faster(row) or 0.0
        lost = round((report.keras_robust or 0.0) - (row.robust or 0.0), 6)
        return {
            "aim": self.name,
            "asked": {"smaller": self.smaller, "faster": self.faster},
            "model": report.model,
            "format": row.format,
            "smaller": smaller,
            "faster": faster,
            "robust_lost": lost,
            "reached": smaller >= self.smaller and faster >= self.faster and lost <= POINT,
        }


AIMS = (
    Aim("single weights, sparse file", "weights", ("tflite_fp32_sparse",), 6),
    Aim("4x1 blocks, sparse file", "block:4x1", ("tflite_fp32_sparse",), 8, 3),
    Aim("8 bits and compaction", "channels", ("tflite_int8", "tflite_full_int8"), 10, 4),
    Aim("4 bits and gzip", "", ("tflite_int4",), 25, gzipped=True),
)


def main(argv: list[str]) -> None:
    """Trains, exports, measures, and prints the fronts and the aims."""
    del argv
    for name in _NETWORKS.value:
        runs = _trained(name)
        for run in runs:
            _export(run)
        where = os.path.dirname(runs[0])
        if _STORE.value:
            where = os.path.join(STORED, name)
            for run in runs:
                place = os.path.join("export", name, _slug(run))
                store_results.main(run, place, store_results.EXPORT_FILES)
        print(pareto.write(where))
        lines = list(reached([_found(run) for run in runs]))
        files.write_json(os.path.join(where, "aims.json"), lines)
        for line in lines:
            print(json.dumps(line))


def _trained(name: str) -> list[str]:
    """The directories of the runs of a flagfile, which are trained if they are not finished."""
    flagfile = FLAGFILES.format(name)
    command = [sys.executable, "-m", "experiments.sweep", f"--flagfile={flagfile}"]
    command.append(f"--output_dir={_OUTPUT_DIR.value}")
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    folder = told.strip().splitlines()[-1]
    with open(os.path.join(folder, "sweep.json")) as file:
        return [os.path.join(folder, cell) for cell in json.load(file)["cells"]]


def _export(run: str) -> None:
    """Exports a run in all formats of TFLite, unless that was done with the same options."""
    options = [f"--formats={','.join(FORMATS)}", f"--attacked={_ATTACKED.value}"]
    options.append(f"--calls={_CALLS.value}")
    done = os.path.join(run, "export", "bench.json")
    if os.path.exists(done) and files.read_json(done, [str]) == options:
        return
    command = [sys.executable, "-m", "experiments.export", f"--model={run}", *options]
    subprocess.run(command, check=True)
    files.write_json(done, options)


def _found(run: str) -> tuple[dict[str, Any], ExportReport]:
    """The flags of a run, and the report of its files."""
    path = os.path.join(run, "export", "export.json")
    return dict(config.read(run)["flags"]), record.read(path)


def reached(found: list[tuple[dict[str, Any], ExportReport]]) -> Iterator[dict[str, Any]]:
    """For each aim, the file that does best."""
    for aim in AIMS:
        results = [
            aim.of(report, row)
            for values, report in found
            if aim.structure in ("", values.get("structure") or "weights")
            and report.density <= DENSEST + 0.005
            for row in report.rows
            if row.format in aim.formats
        ]
        if results:
            yield max(results, key=lambda each: (each["reached"], each["smaller"]))


def _slug(run: str) -> str:
    """A readable name for the stored results of a run."""
    values = config.read(run)["flags"]
    parts = [values["method"], values.get("structure")]
    parts += [f"{100 * values['density']:g}"] if values.get("density") else []
    return "_".join(str(part).replace(":", "_") for part in parts if part)


if __name__ == "__main__":
    app.run(main)
