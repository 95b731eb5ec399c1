"""An overlay for Model Explorer, which colours a TFLite file's graph by density per layer."""

import json
from typing import Any

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.tflite_kernels import tflite_kernels
from robust_sparse_tf.options import checked_path

# (maximum density, colour), from sparse to dense.
_COLOURS = (
    (0.01, "#440154"),
    (0.05, "#3b528b"),
    (0.1, "#2c728e"),
    (0.2, "#21918c"),
    (0.5, "#5ec962"),
    (1.0, "#fde725"),
)


def to_model_explorer(tflite_path: str, path: str) -> int:
    """Writes the densities of a TFLite file's operations as "node data" of Model Explorer.

    Open the `.tflite` file in Model Explorer and add this file there as custom node data. Each
    operation with kernels, found by the name of its output tensor, gets the fraction of their
    weights that are not zero, in [0, 1], and a colour of its range.

    Args:
        tflite_path: the TFLite file: dense or sparse, quantised or not.
        path: of the JSON file.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: for anything else than a TFLite file, or one without kernels.
        WriteError: naming the path, if it cannot be written.
    """
    path, totals = checked_path("path", path), dict[str, tuple[int, int]]()
    for kernel in tflite_kernels(tflite_path):
        active, size = totals.get(kernel.output, (0, 0))
        totals[kernel.output] = (active + kernel.active, size + kernel.size)
    if not totals:
        raise InputError(f"path={tflite_path}: has no operations with kernels")
    content: dict[str, Any] = {
        "name": "density",
        "results": {
            name: {"value": round(active / size, 6)} for name, (active, size) in totals.items()
        },
        "thresholds": [{"value": value, "bgColor": colour} for value, colour in _COLOURS],
    }
    files.write_json(path, content)
    return len(json.dumps(content, indent=1)) + 1
