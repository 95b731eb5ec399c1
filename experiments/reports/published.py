"""The papers' published numbers, stored with each study, and ours beside them."""

import json
import os
import statistics
from collections.abc import Hashable, Iterable
from typing import Any

from experiments.cli.tables import deviation
from robust_sparse_tf.errors import InputError

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "studies")


def load(study: str) -> dict[str, Any]:
    """What a study published.

    Raises:
        InputError: for a file that is missing or cannot be read.
    """
    path = os.path.join(FOLDER, study, "published.json")
    try:
        with open(path) as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no published numbers can be read ({error})") from error


def aligned(keys: Iterable[Hashable], values: Iterable[Any]) -> dict[Hashable, Any]:
    """Published values by what they belong to, which the file gives by their places alone.

    Returns:
        {} where there are fewer or more values than keys: a lost one would shift the others.
    """
    keys, values = list(keys), list(values)
    return dict(zip(keys, values, strict=True)) if len(keys) == len(values) else {}


def compare(ours: list[float], published: dict[str, float] | None) -> dict[str, Any]:
    """Our trials against a published figure, in its unit.

    Args:
        ours: one figure a trial; empty where none is finished.
        published: `mean` and `std`; None where the study gives none.

    Returns:
        `mean`, `std` (of the sample, n - 1; None for one trial), `trials`, `published`,
        `difference` of the means and `deviations`, the difference in published standard deviations;
        None for what cannot be said.
    """
    mean = statistics.fmean(ours) if ours else None
    found = {
        "mean": mean,
        "std": deviation(ours),
        "trials": len(ours),
        "published": published,
        "difference": None,
        "deviations": None,
    }
    if ours and published:
        found["difference"] = mean - published["mean"]
        if published.get("std"):
            found["deviations"] = found["difference"] / published["std"]
    return found


def beside(found: dict[str, Any], digits: int = 2) -> str:
    """A cell of a table: ours, and in brackets what was published, if it was, and how far it is."""
    if found["mean"] is None:
        text = "-"
    else:
        text = f"{found['mean']:.{digits}f}"
        if found["std"] is not None:
            text += f" ± {found['std']:.{digits}f}"
    published = found["published"]
    if not published:
        return text
    inner = f"{published['mean']:.{digits}f}"
    if published.get("std") is not None:
        inner += f" ± {published['std']:.{digits}f}"
    if found["deviations"] is not None:
        inner += f"; {found['deviations']:+.1f} σ"
    return f"{text} ({inner})"
