"""Tables on a terminal, and what their cells tell of several runs."""

import statistics

from rich.console import Console
from rich.table import Table


def print_table(rows: list[list[str]]) -> None:
    """Prints rows, the header first."""
    shown = Table()
    for name in rows[0]:
        shown.add_column(name, justify="right")
    for row in rows[1:]:
        shown.add_row(*row)
    Console().print(shown)


def deviation(values: list[float]) -> float | None:
    """The standard deviation of a sample (n - 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None
