"""Compares exported files: the front of robust accuracy, bytes and latency."""

import sys

from experiments.cli import command
from experiments.reports import pareto

USAGE = """python -m experiments.pareto DIRECTORY

Reads every export.json below DIRECTORY, as experiments.export writes them, prints a table of robust
accuracy, bytes and latency, and writes pareto.md, pareto.json and pareto.png into DIRECTORY. Files
that no other beats in all three are the front."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    command.show_warnings()
    return command.exit_code(lambda: _compare(argv))


def _compare(argv: list[str]) -> int:
    print(pareto.write(command.directory_of(argv, USAGE)))
    return 0


if __name__ == "__main__":
    command.leave(main(sys.argv))
