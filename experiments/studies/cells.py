"""What the studies' reports read of a sweep's finished cells."""

import json
import os
from typing import Any

from experiments.runs import options as flags

Cell = dict[str, Any]  # a cell's `results.json`


def flag(cell: Cell, name: str) -> Any:
    """The value of a flag of a cell."""
    return flags.value_of(cell["flags"], name)


def select(cells: list[Cell], **values: Any) -> list[Cell]:
    """The cells whose flags have these values."""
    return [
        cell for cell in cells if all(flag(cell, key) == value for key, value in values.items())
    ]


def values_of(cells: list[Cell], name: str) -> list[Any]:
    """The values that a flag has in any cell, each once, in the order of the cells."""
    return list(dict.fromkeys(flag(cell, name) for cell in cells))


def tested(cells: list[Cell]) -> list[str]:
    """A line that says of how many test images the accuracies are, where it is not all."""
    sizes = [f"{size:,}" if size else "all" for size in values_of(cells, "test_size")]
    if sizes == ["all"]:
        return []
    return [f"Accuracies are of the first {' or '.join(sizes)} test images.", ""]


def records(folder: str, cell: Cell) -> list[dict[str, Any]]:
    """A cell's evaluations, in the order in which they were made; see `Rounds.run`."""
    with open(os.path.join(folder, cell["name"], "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def measurements(folder: str) -> list[str]:
    """What a sweep measured of its cells, see `measures.parse`."""
    with open(os.path.join(folder, "sweep.json")) as file:
        return json.load(file).get("measurements", [])


def how(trained: str) -> str:
    """The words for training with an attack, or "none"."""
    return "naturally" if trained == "none" else f"with {trained.upper()}"


def accuracy(figures: dict[str, Any], attack: str) -> float | None:
    """The accuracy (percent) in a record's `test` or `validation`, on clean images for "none"."""
    found = figures["clean_accuracy"]
    if attack != "none":
        found = figures["robust_accuracy"].get(attack)
    return None if found is None else 100 * found


def nearest_round(cell: Cell, percent: float) -> int | None:
    """The round with this share of its weights; None where none is within a twentieth of it."""
    rounds = cell["rounds"]
    best = min(rounds, key=lambda entry: abs(100 * entry["density"] - percent))
    return best["round"] if abs(100 * best["density"] / percent - 1) < 0.05 else None
