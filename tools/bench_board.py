"""The TensorBoard plugin with many runs: seconds to its views, memory, and the size of a log.

One run of ResNet-20 is written as training writes it: all measures, their scalars, masks,
accuracies, reports and examples; the others are its copies. Each server, the page alone and
TensorBoard with all its tabs, is started as a user does; once it has loaded everything, it is asked
for what each view of the page asks for. Beside the seconds stand those of the processor, of all
processes of the server: what else runs on the machine counts less for them.

    taskset -c 1 python tools/bench_board.py [--runs=100] [--steps=1000] [--output=FILE.json]
"""

import contextlib
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_RUNS = flags.DEFINE_integer("runs", 100, "runs in the log", lower_bound=10)
_STEPS = flags.DEFINE_integer("steps", 1000, "steps of a run", lower_bound=100)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

DENSITY = 0.1
MASKS, ACCURACIES = 20, 100  # times that they are written: masks as often as runs do
EPSILONS = (2 / 255, 4 / 255, 8 / 255)
PREFIX = "data/plugin/sparsity_robustness"
PARTS = ("clean", "adversarial", "difference")
PICKED = 10  # runs, as the page does by itself
FIRST_PORT = 6106
IDLE = 3.0  # seconds without work after which a server has loaded everything

SERVERS = {
    "alone": lambda log, port: ("-m", "robust_sparse_tf.tensorboard", log, f"--port={port}"),
    "tensorboard": lambda log, port: (
        os.path.join(os.path.dirname(sys.executable), "tensorboard"),
        f"--logdir={log}",
        f"--port={port}",
    ),
}


def write_run(folder: Path, steps: int) -> None:
    """Writes the log of a run; its numbers are made up, its layers and masks are ResNet-20's."""
    import tensorflow as tf

    from robust_sparse_tf import models, sparsity, summaries

    network = sparsity.sparsify(models.resnet20(), sparsity.RigL(DENSITY, distribution="erk"))
    masks = summaries.MaskWriter()
    found = sparsity.statistics(network)
    with summaries.writer_of(str(folder)).as_default():
        summaries.write_run(summaries.RunInfo(name="run", method="rigl", density=DENSITY, seed=0))
        for step in range(0, steps):
            summaries.write_statistics(found, step)
            if step % (steps // MASKS) == 0:
                _move_masks(network, step)
                masks.write(network, step)
                summaries.write_histograms(network, step)
                summaries.write_layers(found, step)
            if step % (steps // ACCURACIES) == 0:
                _write_accuracy(step)
        summaries.write_report("standard", _report(), steps)
        summaries.write_measures("margins", {"r_2": 1.0, "r_inf": 0.1}, 100, [], steps)
        summaries.write_export(300_000, 1.5, steps)
    tf.summary.flush(summaries.writer_of(str(folder)))


def _move_masks(network: Any, step: int) -> None:
    from robust_sparse_tf import sparsity

    random = np.random.default_rng(step)
    for entry in sparsity.masked_weights(network):
        entry.mask.assign(random.permutation(entry.mask.numpy().ravel()).reshape(entry.mask.shape))


def _write_accuracy(step: int) -> None:
    from robust_sparse_tf import attacks, summaries

    used = {f"pgd_{epsilon:.3f}": attacks.PGD(epsilon=epsilon) for epsilon in EPSILONS}
    figures = {
        "clean_loss": 0.5,
        "clean_accuracy": 0.9,
        "robust_loss": dict.fromkeys(used, 1.5),
        "robust_accuracy": dict.fromkeys(used, 0.4),
    }
    splits = {name: (figures, 1000) for name in ("validation", "test")}
    train = {"loss": 1.0, "accuracy": 0.5}
    summaries.write_accuracy(splits, used, step, train=train, phase="robust")


def _report() -> Any:
    from robust_sparse_tf.evaluation.report import Outcome, Picture, Report

    random = np.random.default_rng(0)
    size = 1000
    image = random.random((32, 32, 3), np.float32)
    outcomes = [
        Outcome(
            attack=attack,
            norm="linf",
            epsilon=epsilon,
            tried=np.ones(size, bool),
            judged=random.random((size, 1)) < 0.5,
            distance=np.full(size, epsilon, np.float32),
            queries=np.full(size, 40, np.float32),
            seconds=np.full(size, 0.01, np.float32),
        )
        for attack in ("pgd", "square", "apgd")
        for epsilon in EPSILONS
    ]
    pictures = {
        (each.attack, each.epsilon): [Picture(1, 2, image, image + each.epsilon)] * 4
        for each in outcomes
    }
    return Report(
        labels=np.zeros(size, np.int64),
        predictions=np.zeros(size, np.int64),
        judged=np.ones((size, 1), bool),
        outcomes=outcomes,
        warnings=[],
        pictures=pictures,
    )


Request = tuple[str, dict[str, Any]]


class Server:
    """A server with what it started."""

    def __init__(self, process: psutil.Popen, port: int) -> None:
        self._process = process
        self._url = f"http://localhost:{port}"

    def ask(self, path: str, **asked: Any) -> bytes:
        """An answer as a browser gets it."""
        query = urllib.parse.urlencode(asked, doseq=True)
        request = urllib.request.Request(f"{self._url}/{path}?{query}")
        request.add_header("Accept-Encoding", "gzip")
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.read()  # type: ignore[no-any-return]

    def json(self, path: str, **asked: Any) -> Any:
        """An answer of the plugin, decoded."""
        return json.loads(_plain(self.ask(f"{PREFIX}/{path}", **asked)))

    def seconds(self, *requests: Request) -> float:
        """How long answers of the plugin take, one after the other."""
        start = time.perf_counter()
        for path, asked in requests:
            self.ask(f"{PREFIX}/{path}", **asked)
        return time.perf_counter() - start

    def wait(self, runs: int) -> None:
        """Waits until all is loaded."""
        while True:
            with contextlib.suppress(OSError):
                if len(json.loads(_plain(self.ask("data/runs")))) >= runs:
                    break
            time.sleep(0.2)
        before = -1.0
        while (now := self.work()) - before > 0.05:
            before = now
            time.sleep(IDLE)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def work(self) -> float:
        """Processor seconds so far."""
        return float(sum(sum(process.cpu_times()[:2]) for process in self._all()))

    def memory(self) -> dict[str, float]:
        """MiB of each of its processes that no other one shares, and of all."""
        found = {each.name(): each.memory_full_info().uss / 2**20 for each in self._all()}
        return found | {"all": sum(found.values())}


def _plain(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@contextlib.contextmanager
def started(name: str, log: Path, port: int) -> Iterator[Server]:
    """A server of a log."""
    argv = [sys.executable, *SERVERS[name](str(log), port)]
    process = psutil.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait()


def views(runs: list[str], number: int, known: dict[str, Any]) -> dict[str, list[Request]]:
    """What each view asks for, of a run and of those that are picked."""
    run = runs[number]
    picked = [runs[(number + other) % len(runs)] for other in range(PICKED)]
    reports = ("reports", {"run": picked})
    return {
        "runs": [("runs", {"offset": 0, "limit": 200})],
        "topology": [("topology", {"run": run}), ("network", {"run": picked})],
        "masks": [
            ("masks", {"run": run}),
            *((path, {"run": run} | known["mask"]) for path in ("mask", "inputs")),
        ],
        "accuracy": [("accuracy", {"run": picked}), reports],
        "is it real": [reports],
        "examples": [
            ("examples", {"run": run}),
            *(("example", {"run": run, "part": part} | known["example"]) for part in PARTS),
        ],
    }


def measure(server: Server, runs: int) -> dict[str, Any]:
    """Seconds of the first view, and of later ones: of runs new to the server, and once more."""
    before = server.work()
    first = {"seconds": server.seconds(("runs", {"offset": 0, "limit": 200}))}
    first["processor_seconds"] = server.work() - before
    names = [run["run"] for run in server.json("runs")["runs"]]
    layers = server.json("masks", run=names[-1])["layers"]
    layer = next(layer for layer in layers if layer["has_inputs"])
    example = server.json("examples", run=names[-1])["sets"][0]
    known = {
        "mask": {"layer": layer["layer"], "step": layer["steps"][-1]},
        "example": {"tag": example["tag"], "step": example["step"], "image": 0},
    }
    found: dict[str, Any] = {}
    for kind in ("new", "again"):
        seconds: dict[str, list[float]] = {}
        work: dict[str, float] = {}
        for number in range(0, runs, PICKED):
            for name, requests in views(names, number, known).items():
                before = server.work()
                seconds.setdefault(name, []).append(server.seconds(*requests))
                work[name] = work.get(name, 0.0) + server.work() - before
        for name, of in seconds.items():
            found.setdefault(name, {})[kind] = {
                "median_seconds": statistics.median(of),
                "worst_seconds": max(of),
                "processor_seconds": work[name] / len(of),
            }
    return {"first_view": first, "views": found}


def main(_: list[str]) -> None:
    """Writes the log, measures both servers and prints everything."""
    figures: dict[str, Any] = {
        "runs": _RUNS.value,
        "steps": _STEPS.value,
        "cores": len(os.sched_getaffinity(0)),
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        write_run(log / "run_000", _STEPS.value)
        files = list((log / "run_000").iterdir())
        figures["log_mib"] = sum(file.stat().st_size for file in files) / 2**20
        print(f"MiB of a run's log: {figures['log_mib']:.1f}", flush=True)
        for number in range(1, _RUNS.value):
            (log / f"run_{number:03}").mkdir()
            for file in files:
                os.link(file, log / f"run_{number:03}" / file.name)
        for port, name in enumerate(SERVERS, FIRST_PORT):
            start = time.perf_counter()
            with started(name, log, port) as server:
                server.wait(_RUNS.value)
                loaded = time.perf_counter() - start - IDLE
                figures[name] = {"loaded_seconds": loaded} | measure(server, _RUNS.value)
                figures[name]["memory_mib"] = server.memory()
            figures[name]["load"] = os.getloadavg()[0]  # of the machine: above its cores, all waits
            print(f"{name}: {json.dumps(figures[name], indent=1)}", flush=True)
            _store(figures)


def _store(figures: dict[str, Any]) -> None:
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    app.run(main)
