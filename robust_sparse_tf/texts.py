"""Numbers and tables as Markdown."""

from collections.abc import Sequence


def percent(fraction: float, deviation: float | None = None, *, digits: int = 2) -> str:
    """A fraction in percent, without the sign, and its deviation where there is one.

    Args:
        fraction: such as 0.5 for "50.00".
        deviation: of the fraction, too.
        digits: after the point.
    """
    shown = f"{100 * fraction:.{digits}f}"
    return shown if deviation is None else f"{shown} ± {100 * deviation:.{digits}f}"


def markdown_table(rows: Sequence[Sequence[str]], *, left: int = 0) -> list[str]:
    """Lines of a table, the header first.

    Args:
        rows: cells, as many in each row.
        left: how many of the first columns are aligned to the left; all others are to the right.
    """
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "|" + " --- |" * left + " ---: |" * (len(rows[0]) - left)
    return [lines[0], rule, *lines[1:]]
