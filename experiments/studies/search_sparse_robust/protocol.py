"""What "The Search for Sparse, Robust Neural Networks" trains and attacks.

Its text (2019) leaves details out that its published code has; cells that differ in them are no
trials of each other.
"""

from experiments.sweeps.directory import Cell

STUDY = "search_sparse_robust"
DENSITIES = (100.0, 51.3, 16.9, 8.7, 3.6, 1.8)
"""Percent of the weights that are left in the networks of the study's tables."""

ATTACKS = ("fgsm", "pgd")
ITERATIONS = (25_020, 30_000)
"""Both are candidates for what the study calls iteration 30,000: its evaluations are half an epoch
of 834 steps apart and counted as 500."""

_PUBLISHED = {
    "attack.attack_labels": "predicted",
    "label_smoothing": 0.1,
    "attack.random_start": True,
}


def unlike_published(cell: Cell) -> tuple[str, ...]:
    """Such as ("label_smoothing=0.0",); () for a cell with all details of the published code."""
    return tuple(
        f"{name.removeprefix('attack.')}={cell.flag(name)}"
        for name, published in _PUBLISHED.items()
        if cell.flag(name) != published
    )
