"""How long TFLite files take for one example, and how much memory."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from robust_sparse_tf.errors import TrainingError
from robust_sparse_tf.export.reading import require_tflite
from robust_sparse_tf.options import checked, checked_path, require

_WARM_UP = 10  # calls before the clock runs
# Run in a process of its own. Resets the peak of the memory in use once libraries are loaded.
_MEMORY = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = kilobytes("VmRSS")
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for entry in interpreter.get_input_details():
    interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
interpreter.invoke()
print(json.dumps(1024 * (kilobytes("VmHWM") - before)))
"""


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference of one example on one thread: median and 95th percentile."""

    median: float
    p95: float


def latency(path: str, calls: int = 100) -> float:
    """Milliseconds of one inference of one example on one thread: the median of some calls.

    Args:
        path: of a TFLite file.
        calls: how many are timed.

    Raises:
        InputError: for anything else than a TFLite file.
    """
    path = checked_path("path", path)
    return latencies({path: path}, calls)[path].median


def latencies(paths: Mapping[str, str], calls: int = 100) -> dict[str, Latency]:
    """Latencies of files whose calls alternate, so that the machine is the same for all.

    Args:
        paths: of TFLite files, by name.
        calls: how many are timed per file.

    Raises:
        InputError: for anything else than TFLite files.
    """
    require("paths", paths, Mapping)
    calls = checked("calls", calls, int, minimum=1)
    prepared = {name: _prepared(path) for name, path in paths.items()}
    seconds: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(_WARM_UP + calls):
        for name, interpreter in prepared.items():
            start = time.perf_counter()
            interpreter.invoke()
            seconds[name].append(time.perf_counter() - start)
    return {name: _latency(own[_WARM_UP:]) for name, own in seconds.items()}


def _prepared(path: str) -> Interpreter:
    require_tflite(path)
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    return interpreter


def _latency(seconds: list[float]) -> Latency:
    median, p95 = np.percentile(seconds, [50, 95])
    return Latency(1000 * float(median), 1000 * float(p95))


def peak_memory(path: str) -> int | None:
    """Bytes that an interpreter needs at most to load a file and compute one example.

    Measured in a process of its own, beyond Python and the libraries; None where the system does
    not give it (other systems than Linux).

    Args:
        path: of a TFLite file.

    Raises:
        InputError: for anything else than a TFLite file.
        TrainingError: if the process fails.
    """
    path = checked_path("path", path)
    require_tflite(path)
    if not sys.platform.startswith("linux"):
        return None
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise TrainingError(f"{path}: cannot be run on its own ({told})")
    return int(json.loads(done.stdout))
