"""Checks flags, data and network of a run before it begins; writes nothing."""

import sys

from experiments.cli import command
from experiments.cli.quiet import load_tensorflow, quiet_loggers
from experiments.runs import options as flags
from experiments.runs.training_run import TrainingRun

USAGE = """python -m experiments.check [FLAGS OF run]

Reports errors that experiments.run would raise before training: wrong flags, missing or too few
data, networks that do not fit them, or missing layers. Sweeps do so before the first cell."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    quiet_loggers()
    if "--help" in argv:
        print(USAGE)
        return 0
    return command.exit_code(lambda: _check(argv))


def _check(argv: list[str]) -> int:
    run = TrainingRun(flags.parse(argv))
    load_tensorflow()
    run.check()
    return 0


if __name__ == "__main__":
    command.leave(main(sys.argv))
