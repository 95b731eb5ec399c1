"""How long a TFLite file takes for one example."""

import statistics
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.forms import form_of
from robust_sparse_tf.options import checked, checked_path

_WARM_UP = 10  # calls before the clock runs


def latency(path: str, calls: int = 100) -> float:
    """Milliseconds of one inference of one example on one thread: the median of some calls.

    Args:
        path: of a TFLite file.
        calls: how many are timed.

    Raises:
        InputError: for anything else than a TFLite file.
    """
    path, calls = checked_path("path", path), checked("calls", calls, int, minimum=1)
    if form_of(path) != "tflite":
        raise InputError(f"path={path}: must be a TFLite file")
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    seconds = []
    for _ in range(_WARM_UP + calls):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[_WARM_UP:])
