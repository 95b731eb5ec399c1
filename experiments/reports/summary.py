"""The summary of a study: a verdict on each table, figure, equation and claim.

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

HELD, NOT_HELD, UNTOLD = "held", "not held", "not distinguishable"
NOT_TESTED = "not tested"
_LEAST = 0.1  # fraction of the paper's length below which there is no verdict


@dataclasses.dataclass(frozen=True)
class Judged:
    """The verdict of our numbers on an item.

    Attributes:
        agreement: the numbers in words.
        verdict: for tables see `verdict_of`, for claims the constants above.
    """

    agreement: str
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A table, figure, equation or claim of a study.

    Attributes:
        name: name in the paper.
        flagfile: flagfile in the study's folder that runs it in full; "" for none.
        stored: the stored result below results/STUDY; "" for none.
        judge: computes the verdict from a stored report; None without numbers to compare.
        cells: flags of its cells, with their values; {} for all.
        length: iterations per round in the paper; 0 if nothing is trained.
        networks: pattern of the names of the networks under a strong attack.
    """

    name: str
    flagfile: str = ""
    stored: str = ""
    judge: Callable[[Report], Judged] | None = None
    cells: Mapping[str, Sequence[object]] = dataclasses.field(default_factory=dict)
    length: int = 0
    networks: str = "a^"


def table(items: Iterable[Item], study: str, results: str) -> list[str]:
    """The items of a study as a Markdown table.

    Args:
        items: items of the paper.
        study: name of the study.
        results: the folder of all stored results.
    """
    head = ["item", "flagfile", "stored", "length", "trials", "agreement", "verdict"]
    rows = [[*head, "`standard` leaves (%)"]]
    listed = list(items)
    names = dict.fromkeys(item.stored for item in listed if item.stored)
    reports = {name: _report(study, name, results) for name in names}
    rows += [_row(item, study, reports.get(item.stored)) for item in listed]
    told = _cost(reports) if reports else "Nothing is stored."
    return [*markdown_table(rows, left=8), "", told]


def _cost(reports: Mapping[str, Report]) -> str:
    """Training times of the cells of the stored results, on one core each."""
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
    """The iterations per round beside the paper's, and their minimum fraction."""
    if not full or not cells:
        return "-", 1.0
    counts = sorted({options.value_of(dict(flags), "iterations") for flags in cells})
    words = " or ".join(f"{count:,}" for count in counts)
    return f"{words} of {full:,}", counts[0] / full


def _left(report: Report, pattern: str) -> str:
    """The range of accuracies under the strongest ensemble, for networks that match a pattern."""
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
    """Judges how many of our means are near the published ones.

    The verdict uses two published deviations or, if none is published, the width.

    Args:
        comparisons: stored `published.Comparison`s.
        within: the width, in the unit of the numbers or, with the unit " %", relative to the
            published one.
        unit: unit of the width in words.
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
    """The verdict on a table, by the fraction of numbers near the published ones."""
    return "agrees" if share >= 0.9 else "agrees in part" if share >= 0.5 else "differs"


def compared(ours: float, other: float, spread: float, words: str) -> Judged:
    """Judges whether a number is above another one by more than the spread of trials.

    Args:
        ours: the number that is larger according to the claim.
        other: the other number.
        spread: deviation of trials, ours or published.
        words: text with a placeholder for each number.
    """
    gap = ours - other
    verdict = UNTOLD if abs(gap) <= spread else HELD if gap > 0 else NOT_HELD
    return Judged(words.format(ours, other), verdict)


def counted(held: Sequence[bool], words: str) -> Judged:
    """Judges a claim by the number of cases in which it held.

    Args:
        held: one value per case.
        words: the cases in words.
    """
    verdict = HELD if all(held) else f"{HELD} in part" if any(held) else NOT_HELD
    return Judged(f"{sum(held)} of {len(held)} {words}", verdict)
