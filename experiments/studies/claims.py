"""Claims of a paper, each with our numbers and a verdict."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

from experiments.reports.summary import HELD, NOT_HELD, NOT_TESTED, Item, Judged, Report
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table

UNTESTED = Judged("-", NOT_TESTED)
"""The verdict where a network is missing."""

_LEAST = 0.1  # fraction of the paper's steps below which there is no verdict


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim in our words, and the verdict on it."""

    text: str
    judged: Judged

    def as_json(self) -> dict[str, str]:
        """Its entry of report.json."""
        return {"claim": self.text, **dataclasses.asdict(self.judged)}


def given_length(claims: Iterable[Claim], short: bool) -> list[Claim]:
    """The claims, without verdicts where training was too short for them, see `is_short`."""
    if not short:
        return list(claims)
    return [dataclasses.replace(claim, judged=too_short(claim.judged)) for claim in claims]


def too_short(judged: Judged) -> Judged:
    """A judgement without a verdict."""
    if judged.verdict == NOT_TESTED:
        return judged
    return Judged(judged.agreement, f"{NOT_TESTED}: too short")


def markdown(claims: Iterable[Claim]) -> list[str]:
    """A section with a table of claims, in the order of the paper."""
    rows = [["claim", "here", "verdict"]]
    rows += [[claim.text, claim.judged.agreement, claim.judged.verdict] for claim in claims]
    return ["## Claims, one by one", "", *markdown_table(rows, left=3), ""]


def items(claims: Iterable[Claim], flagfile: str, stored: str) -> list[Item]:
    """The claims as items of the summary of studies.

    Args:
        claims: claims of the paper.
        flagfile: flagfile that runs them in full.
        stored: the stored result; "" for none.
    """
    return [
        Item(
            name=claim.text,
            flagfile=flagfile,
            stored=stored,
            judge=functools.partial(_stored_verdict, text=claim.text),
        )
        for claim in claims
    ]


def _stored_verdict(report: Report, text: str) -> Judged:
    """The verdict on a claim in a stored report."""
    own = [each for each in report["study"]["claims"] if each["claim"] == text]
    return Judged(own[0]["agreement"], own[0]["verdict"]) if own else UNTESTED


def is_short(cells: Sequence[Cell], steps: int) -> bool:
    """Whether the longest training is less than a tenth of the paper's number of steps."""
    return max(last_step(cell) for cell in cells) < _LEAST * steps


def last_step(cell: Cell) -> int:
    """The training steps of all rounds of a cell."""
    return sum(entry.get("iteration", 0) for entry in cell.rounds)


def above(ours: float | None, other: float | None, margin: float = 0.0) -> Judged:
    """Judges whether a number, in percent, is above another one by more than a margin in points.

    Args:
        ours: None if it was not measured.
        other: likewise.
        margin: may be negative, for "at most so far below".
    """
    if ours is None or other is None:
        return UNTESTED
    return Judged(f"{ours:.2f} against {other:.2f}", HELD if ours > other + margin else NOT_HELD)


def gain(ours: float | None, other: float | None, published: float) -> Judged:
    """Judges whether a difference in points has the published sign and half of its size."""
    if ours is None or other is None:
        return UNTESTED
    found = ours - other
    held = found * published > 0 and abs(found) >= abs(published) / 2
    words = f"{found:+.2f} points (published {published:+.2f})"
    return Judged(words, HELD if held else NOT_HELD)


def all_of(judged: Sequence[Judged], names: Sequence[str]) -> Judged:
    """The verdict on a claim about several cases, those that were not tested left out."""
    tested = [(each, name) for each, name in zip(judged, names, strict=True) if each != UNTESTED]
    if not tested:
        return UNTESTED
    words = "; ".join(f"{name}: {each.agreement}" for each, name in tested)
    held = [each.verdict == HELD for each, _ in tested]
    return Judged(words, HELD if all(held) else f"{HELD} in part" if any(held) else NOT_HELD)
