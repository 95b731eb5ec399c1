"""The summary of a study: each of its tables, figures, equations and claims, and what became of it.

Everything is read from stored reports.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.reports import published
from experiments.runs import naming, options
from robust_sparse_tf import files
from robust_sparse_tf.texts import markdown_table

Report = Mapping[str, Any]
"""A stored report.json."""

HELD, NOT_HELD, UNTOLD = "held", "not held", "not told apart"
NOT_TESTED = "not tested"
_LEAST = 0.1  # of the paper's length, below which nothing is judged


@dataclasses.dataclass(frozen=True)
class Judged:
    """What our numbers say of an item.

    Attributes:
        agreement: the numbers in words.
        verdict: see `verdict_of` for tables, and the constants above for claims.
    """

    agreement: str
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A table, figure, equation or claim of a study.

    Attributes:
        name: as the paper has it.
        flagfile: of the study's folder, which runs it in full; "" for none.
        stored: the result that is judged, below results/STUDY; "" for none.
        judge: what a stored report says of it; None for what has no numbers to be judged by.
        cells: flags of the cells of which it is, with the values of each; {} for all.
        length: the paper's iterations a round; 0 where nothing is trained.
        networks: a pattern of the names of the networks that a strong attack was run on.
    """

    name: str
    flagfile: str = ""
    stored: str = ""
    judge: Callable[[Report], Judged] | None = None
    cells: Mapping[str, Sequence[object]] = dataclasses.field(default_factory=dict)
    length: int = 0
    networks: str = "a^"


def table(items: Iterable[Item], study: str, results: str) -> list[str]:
    """The items of a study as a table of Markdown.

    Args:
        items: of the paper.
        study: its name.
        results: the folder of all stored results.
    """
    head = ["item", "flagfile", "stored", "length", "trials", "agreement", "verdict"]
    rows = [[*head, "`standard` leaves (%)"]]
    listed = list(items)
    names = dict.fromkeys(item.stored for item in listed if item.stored)
    reports = {name: _report(study, name, results) for name in names}
    rows += [_row(item, study, reports.get(item.stored)) for item in listed]
    return [*markdown_table(rows, left=8), "", _cost(reports)]


def _cost(reports: Mapping[str, Report]) -> str:
    """How long the cells of the stored results took, on one core each."""
    words = [
        f"{name} {report['seconds'] / 3600:.1f}"
        for name, report in reports.items()
        if report.get("seconds")
    ]
    return f"Hours of training that the stored cells took, each on one core: {', '.join(words)}."


def _report(study: str, stored: str, results: str) -> Report:
    found: Report = files.read_json(os.path.join(results, study, stored, "report.json"))
    return found


def _row(item: Item, study: str, report: Report | None) -> list[str]:
    flagfile = f"`{item.flagfile}`" if item.flagfile else "-"
    if report is None:
        return [item.name, flagfile, "-", "-", "-", "-", NOT_TESTED, "-"]
    cells = [cell["flags"] for cell in report.get("cells", []) if _is_of(cell["flags"], item)]
    length, share = _length(cells, item.length)
    judged = item.judge(report) if item.judge else Judged("nothing published", "drawn")
    if share < _LEAST:
        judged = Judged(judged.agreement, f"{NOT_TESTED}: too short")
    counts = sorted({len(places) for places in naming.trials(cells)})
    link = f"[{item.stored}](results/{study}/{item.stored}/report.md)"
    strong = _left(report, item.networks)
    trials = " or ".join(map(str, counts)) or "-"
    return [item.name, flagfile, link, length, trials, judged.agreement, judged.verdict, strong]


def _is_of(flags: Mapping[str, Any], item: Item) -> bool:
    return all(options.value_of(dict(flags), name) in own for name, own in item.cells.items())


def _length(cells: Sequence[Mapping[str, Any]], full: int) -> tuple[str, float]:
    """The iterations of a round beside the paper's, and the least share of them."""
    if not full or not cells:
        return "-", 1.0
    counts = sorted({options.value_of(dict(flags), "iterations") for flags in cells})
    words = " or ".join(f"{count:,}" for count in counts)
    return f"{words} of {full:,}", counts[0] / full


def _left(report: Report, pattern: str) -> str:
    """The range of what the strongest ensemble left of networks whose names have a pattern."""
    found = [
        100 * accuracy
        for own in report.get("study", {}).get("beyond", [])
        if re.search(pattern, own["network"])
        for title, accuracy in own["accuracies"].items()
        if title.startswith("standard ")
    ]
    if not found:
        return "-"
    least, most = f"{min(found):.1f}", f"{max(found):.1f}"
    return least if least == most else f"{least} to {most}"


def near(comparisons: Iterable[Mapping[str, Any]], within: float, unit: str = " point") -> Judged:
    """How many of our means are near the published ones.

    The verdict goes by two published deviations, and where none is published by the width.

    Args:
        comparisons: `published.Comparison`s, as reports store them.
        within: the width, in the unit of the numbers or, with the unit " %", of the published one.
        unit: as it is told.
    """

    def width(figure: published.Figure) -> float:
        return within * figure["mean"] / 100 if unit == " %" else within

    found = published.near((published.Comparison(**each) for each in comparisons), width)
    if not found:
        return Judged("nothing published", "drawn")
    by_std = [own for own, _ in found if own is not None]
    words = f"{sum(own for _, own in found)} of {len(found)} within {within:.2g}{unit}"
    if by_std:
        words = f"{sum(by_std)} of {len(by_std)} within 2 σ, {words}"
    either = [by_width if own is None else own for own, by_width in found]
    return Judged(words, verdict_of(sum(either) / len(found)))


def verdict_of(share: float) -> str:
    """What a table is called of which this share of the numbers is near the published ones."""
    return "agrees" if share >= 0.9 else "agrees in part" if share >= 0.5 else "differs"


def compared(ours: float, other: float, spread: float, words: str) -> Judged:
    """Whether a number is above another one by more than trials are apart.

    Args:
        ours: the number that a claim says is the larger one.
        other: the number beside it.
        spread: the deviation of trials, ours or the published.
        words: what the numbers are, with a place for each.
    """
    gap = ours - other
    verdict = UNTOLD if abs(gap) <= spread else HELD if gap > 0 else NOT_HELD
    return Judged(words.format(ours, other), verdict)


def counted(held: Sequence[bool], words: str) -> Judged:
    """In how many of several cases a claim held.

    Args:
        held: one for each case.
        words: what the cases are.
    """
    verdict = HELD if all(held) else f"{HELD} in part" if any(held) else NOT_HELD
    return Judged(f"{sum(held)} of {len(held)} {words}", verdict)
