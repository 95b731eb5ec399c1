"""Tables on a terminal."""

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
