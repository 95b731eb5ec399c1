"""Access to a sweep's finished cells, for the studies' reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from experiments.runs import options
from experiments.runs.procedure import procedure_of
from experiments.sweeps.directory import Cell
from robust_sparse_tf.procedures import Phases

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation import Figures


def select(cells: Sequence[Cell], **values: Any) -> list[Cell]:
    """The cells with these values of flags."""
    return [cell for cell in cells if all(cell.flag(key) == own for key, own in values.items())]


def values_of(cells: Sequence[Cell], name: str) -> list[Any]:
    """The values of a flag in any cell, without duplicates, in the order of the cells."""
    return list(dict.fromkeys(cell.flag(name) for cell in cells))


def seeds(cells: Sequence[Cell]) -> str:
    """The number of trials of networks, in words, such as "one seed"."""
    count = len(values_of(cells, "seed"))
    return "one seed" if count == 1 else f"means of up to {count} seeds"


def tested(cells: Sequence[Cell]) -> list[str]:
    """A line with the number of test images, unless all are used."""
    sizes = [f"{size:,}" if size else "all" for size in values_of(cells, "test_size")]
    if sizes == ["all"]:
        return []
    return [f"Accuracies are of the first {' or '.join(sizes)} test images.", ""]


def how(trained: str) -> str:
    """Words for training with an attack, or "none"."""
    return "naturally" if trained == "none" else f"with {trained.upper()}"


def accuracy(figures: Figures, attack: str) -> float | None:
    """An accuracy (percent) on a split, on clean images for "none"; None if not measured."""
    if attack == "none":
        return 100 * figures["clean_accuracy"]
    found = figures["robust_accuracy"].get(attack)
    return None if found is None else 100 * found


def accuracies(splits: Iterable[Figures], attack: str) -> list[float]:
    """The accuracies (percent) of the given splits, as far as measured; see `accuracy`."""
    return [own for figures in splits if (own := accuracy(figures, attack)) is not None]


def nearest_round(cell: Cell, percent: float) -> int | None:
    """The round with this fraction of weights; None if none is within 5 % of it."""
    best = min(cell.rounds, key=lambda entry: abs(100 * entry["density"] - percent))
    return best["round"] if abs(100 * best["density"] / percent - 1) < 0.05 else None


def phases(cell: Cell) -> list[str]:
    """The kind of each round of a cell that trains once: "clean", "robust" or "pruned"."""
    values = options.whole(cell.results["flags"])
    schedule = procedure_of(values).schedule(values)
    return schedule.names() if isinstance(schedule, Phases) else ["robust"]


def robust_round(cell: Cell) -> int:
    """The round of a cell's adversarial training, before any pruning."""
    return phases(cell).index("robust")


def pruned_round(cell: Cell, sparsity: float) -> int | None:
    """The round that was pruned to a sparsity (percent), within a point; None if there is none."""
    own = [number for number, name in enumerate(phases(cell)) if name == "pruned"]
    near = {abs(100 * (1 - cell.rounds[number]["density"]) - sparsity): number for number in own}
    return near[min(near)] if near and min(near) < 1 else None
