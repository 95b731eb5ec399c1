"""Lines on how many images, steps and what width the numbers of a report have."""

import statistics
from collections.abc import Sequence

from experiments.studies.cells import values_of
from experiments.studies.claims import last_step
from experiments.sweeps.directory import Cell

_SHORT = 200  # steps


def head(cells: Sequence[Cell], steps: int) -> list[str]:
    """Lines for the head of a report.

    Args:
        cells: finished cells.
        steps: training steps of the paper.
    """
    widths: dict[str, list[str]] = {}
    for cell in cells:
        word = f"{cell.flag('width'):g}"
        own = widths.setdefault(cell.flag("model"), [])
        own += [] if word in own else [word]
    nets = "; ".join(f"{model} x {', '.join(own)}" for model, own in widths.items())
    trained = sorted({last_step(cell) for cell in cells})
    count = f"{trained[0]:,}" if len(trained) == 1 else f"{trained[0]:,} to {trained[-1]:,}"
    batch = ", ".join(map(str, values_of(cells, "batch_size")))
    images = [_size(size) for size in values_of(cells, "train_size")]
    tests = [_size(size) for size in values_of(cells, "test_size")]
    seeds = len(values_of(cells, "seed"))
    lines = [
        f"Networks and widths: {nets}. Training: {count} steps of batch {batch} (the paper's "
        f"protocol: about {steps:,}), on {' or '.join(images)} training images; tests in training "
        f"on {' or '.join(tests)} test images; seeds: {seeds}.",
        "",
    ]
    if trained[-1] >= _SHORT:
        lines += _time(cells, steps)
    else:  # where starting takes longer than all steps
        lines += [
            "**Of a few steps:** these numbers show that every part runs, and nothing about the "
            "paper's networks.",
            "",
        ]
    return lines


def _time(cells: Sequence[Cell], steps: int) -> list[str]:
    """The seconds per step here, and the days that the paper's protocol would take."""
    took = [
        cell.results["seconds"] / last_step(cell)
        for cell in cells
        if last_step(cell) and cell.results.get("seconds") and not cell.results.get("resumed")
    ]
    if not took:
        return []
    days = steps * statistics.median(took) / 86_400
    return [
        f"A step took {min(took):.3g} to {max(took):.3g} seconds here, tests and exports "
        f"included. At the median, {steps:,} steps of one network as narrow as these take "
        f"{days:.3g} days.",
        "",
    ]


def _size(size: int | None) -> str:
    return f"the first {size:,}" if size else "all"
