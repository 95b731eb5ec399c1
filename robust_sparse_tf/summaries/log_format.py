"""The format of the log: tags, measures, and JSON. Needs no TensorFlow, as the plugin reads it.

Each summary is a tensor with the plugin's name and, as plugin data, JSON with the format's version:

| tag | tensor |
| --- | --- |
| `run` | scalar string: JSON of `run.RunInfo` |
| `topology` | float64 [layers + 1, measures], the last row of the whole network |
| `masks/<layer>` | scalar string: the mask as a PNG of 8-bit gray, [inputs, outputs] |
| `inputs/<layer>` | float32 of an input's shape: the share of its weights each place keeps |
| `accuracy` | scalar string: JSON, see `accuracy.write_accuracy` |
| `report/<name>` | scalar string: JSON, see `reports.write_report` |
| `measures/<name>` | scalar string: JSON, see `reports.write_measures` |
| `examples/<attack>/<epsilon>` | string [1 + 3 k]: JSON, and three PNGs of each of k images |
| `export` | scalar string: JSON, see `export.write_export` |

Numbers that are not finite are strings in JSON: "NaN", "Infinity", "-Infinity".
"""

import json
import math
from typing import Any

PLUGIN = "sparsity_robustness"
VERSION = 1

RUN = "run"
TOPOLOGY = "topology"
MASKS = "masks/"
INPUTS = "inputs/"
ACCURACY = "accuracy"
REPORT = "report/"
MEASURES = "measures/"
EXAMPLES = "examples/"
EXPORT = "export"

OF_LAYERS = (
    "density",
    "active",
    "changed",
    "churn",
    "exploration",
    "no_input",
    "no_output",
    "bytes",
)
"""Measures of a layer: see `sparsity.statistics`; `churn` is `changed` / `size`."""

OF_NETWORK = (*OF_LAYERS, "flops", "multiply_accumulates")
"""Measures of the whole network, the columns of `topology`."""

ANY = "any"
"""Stands for epsilon in the tag of an attack that looks for the nearest example."""


def to_json(value: Any) -> str:
    """A value as JSON on one line, NaN and infinities as strings."""
    return json.dumps(finite(value), allow_nan=False)


def finite(value: Any) -> Any:
    """The same with numbers that are not finite as strings; tuples become lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def content(**known: Any) -> bytes:
    """The plugin data of a summary: the version and what is known of its tag."""
    return to_json({"version": VERSION, **known}).encode()


def examples_tag(attack: str, epsilon: float | None) -> str:
    """The tag of the examples that an attack made at an epsilon."""
    return f"{EXAMPLES}{attack}/{ANY if epsilon is None else f'{epsilon:g}'}"
