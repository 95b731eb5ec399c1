"""Findings on "The Search for Sparse, Robust Neural Networks": sentences from the numbers."""

import itertools
from collections.abc import Callable, Sequence
from typing import Literal

from experiments.studies.search_sparse_robust.tables import Row

_NEAR = 1.0  # points of accuracy that a pruned network may lose

Points = dict[float, float]
"""Accuracies (percent) by weights left (percent), the dense network first."""


def sentences(rows: Sequence[Row]) -> list[str]:
    """Whether pruning helps robustness, its cost, and the robustness of natural training.

    Args:
        rows: rows of one table, by decreasing density.

    Returns:
        A sentence per attack and question, if there are a dense and a pruned network.
    """
    lines = []
    for attack in dict.fromkeys(row.attack for row in rows):
        own = [row for row in rows if row.attack == attack]
        name = attack.upper()
        most = f"Trained with {name}, networks are most robust to {name}"
        lines += _said(most, own, "robust", _best)
        kept = f"Trained with {name}, natural accuracy is within {_NEAR:g} point of the dense one's"
        lines += _said(kept, own, "natural", _kept)
        normal = f"Trained naturally, networks are robust to {name}"
        lines += _said(normal, own, "robust", _most, trained="normally")
    return lines


def _said(
    start: str,
    rows: Sequence[Row],
    kind: Literal["natural", "robust"],
    words: Callable[[Points], str],
    trained: str = "adversarially",
) -> list[str]:
    """A sentence about our networks, and the same about the published ones; [] without ours."""
    own = {row.density: row.kinds[kind] for row in rows if row.trained == trained}
    ours = {key: found.mean for key, found in own.items() if found.mean is not None}
    theirs = {key: found.published["mean"] for key, found in own.items() if found.published}
    if not _has_both(ours):
        return []
    published = f" (published: {words(theirs)})" if _has_both(theirs) else ""
    return [f"{start} {words(ours)}{published}."]


def _has_both(points: Points) -> bool:
    """Whether there are a dense and a pruned network."""
    return 100.0 in points and len(points) > 1


def _best(points: Points) -> str:
    density = max(points, key=points.__getitem__)
    if density == 100.0:
        return f"where they are dense, {points[density]:.2f} %"
    return f"with {density:g} % of the weights, {points[density]:.2f} % (dense {points[100.0]:.2f})"


def _kept(points: Points) -> str:
    near = itertools.takewhile(lambda key: points[key] >= points[100.0] - _NEAR, points)
    return f"down to {[*near][-1]:g} % of the weights"


def _most(points: Points) -> str:
    return f"on {max(points.values()):.2f} % of the images at most"
