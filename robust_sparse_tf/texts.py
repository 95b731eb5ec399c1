"""Numbers and tables as Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
} | {sign: "\\" + sign for sign in "&%$#_{}"}


def percent(fraction: float, deviation: float | None = None, *, digits: int = 2) -> str:
    """A fraction in percent, without the sign, with its deviation if given.

    Args:
        fraction: for example 0.5, for "50.00".
        deviation: also a fraction.
        digits: digits after the point.
    """
    shown = f"{100 * fraction:.{digits}f}"
    return shown if deviation is None else f"{shown} ± {100 * deviation:.{digits}f}"


def markdown_table(rows: Sequence[Sequence[str]], *, left: int = 0) -> list[str]:
    """Lines of a table, the header first.

    Args:
        rows: cells; all rows have the same length.
        left: number of columns aligned to the left; the others are aligned to the right.
    """
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "|" + " --- |" * left + " ---: |" * (len(rows[0]) - left)
    return [lines[0], rule, *lines[1:]]


def csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A table as CSV, header first; None and missing values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def latex_table(rows: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """A LaTeX tabular with the rules of the package booktabs; see `markdown_table`."""
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    columns = "l" * left + "r" * (len(rows[0]) - left)
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}", ""])


def _latex(text: str) -> str:
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found[0]], text)
