"""Where cells differ from the published code of "The Search for Sparse, Robust Neural Networks".

The study's text (2019) leaves these details out; cells that differ in them are no trials of each
other.
"""

from experiments.studies.cells import Cell, flag

_PUBLISHED = {"attack_labels": "predicted", "label_smoothing": 0.1, "random_start": True}


def unlike_published(cell: Cell) -> tuple[str, ...]:
    """Such as ("label_smoothing=0.0",); () for a cell with all details of the published code."""
    return tuple(
        f"{name}={flag(cell, name)}"
        for name, published in _PUBLISHED.items()
        if flag(cell, name) != published
    )
