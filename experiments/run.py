"""Trains a sparse network, adversarially or not, and writes a run's directory."""

import os
import sys

from experiments.cli import command
from experiments.cli.quiet import load_tensorflow, quiet_loggers
from experiments.cli.tables import print_table
from experiments.runs import options as flags
from experiments.runs.description import describe
from experiments.runs.results import RunResults, table
from experiments.runs.training_run import TrainingRun

_NO_FLAGS = """python -m experiments.run [--flagfile=FILE] [--FLAG=VALUE ...]

Trains a sparse network under attack. Begin with

    python -m experiments.run --flagfile=experiments/flagfiles/quickstart.flags

which trains robust lottery tickets on scikit-learn's digits in about a minute, without a download.
experiments/flagfiles/methods has a file for each method. --help lists all flags; see
docs/getting-started.md for more."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    quiet_loggers()
    command.show_warnings()
    if "--help" in argv:
        print(flags.help_text())
        return 0
    if not argv[1:]:
        print(_NO_FLAGS, file=sys.stderr)
        return command.REFUSED
    interrupted = "interrupted; the same command resumes from the last checkpoint"
    return command.exit_code(lambda: _run(argv), interrupted)


def _run(argv: list[str]) -> int:
    run = TrainingRun(flags.parse(argv))
    for line in run.notes:
        print(f"note: {line}")
    print(describe(run), flush=True)
    load_tensorflow()
    path, results = run.execute()
    if results:
        _show(path, results)
    print(path)
    return 0


def _show(path: str, results: RunResults) -> None:
    print_table(table(results))
    agreement = 100 * results["export"]["agreement"]
    print(f"model.tflite predicts the same class as Keras on {agreement:.2f} % of the test images")
    for name in sorted(os.listdir(path)):
        if not name.startswith("."):
            print(os.path.join(path, name))


if __name__ == "__main__":
    command.leave(main(sys.argv))
