"""Writes the report of a sweep: tables and figures of the finished cells."""

import sys

from experiments import studies
from experiments.cli import command
from experiments.reports import sweep_report

USAGE = """python -m experiments.report DIRECTORY

Writes the report and the figures of a sweep again. DIRECTORY is that of a sweep, or one with the
trials.json of a sweep, such as those in experiments/results."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    command.show_warnings()
    return command.exit_code(lambda: _report(argv))


def _report(argv: list[str]) -> int:
    print(sweep_report.write(command.directory_of(argv, USAGE), studies.BY_NAME))
    return 0


if __name__ == "__main__":
    command.leave(main(sys.argv))
