"""Runs several commands in one process, because TensorFlow is slow to start."""

import sys

from experiments import check, evaluate, measure, run
from experiments.cli import command
from experiments.sweeps import chaining

USAGE = """python -m experiments.chain COMMAND [FLAGS] [-- COMMAND [FLAGS] ...]

Runs commands one after the other in one process, up to the first that fails: run, evaluate,
measure, check. Each has its usual flags, as in
    python -m experiments.chain run --rounds=3 -- evaluate --model=runs/RUN"""
_MAINS = {
    "run": run.main,
    "evaluate": evaluate.main,
    "measure": measure.main,
    "check": check.main,
}


def main(argv: list[str]) -> int:
    """Runs commands such as "run FLAGS -- evaluate FLAGS", up to the first that fails.

    Returns:
        Its exit code, see `command.exit_code`; 0 if all succeed.
    """
    if argv[1:] == ["--help"]:
        print(USAGE)
        return 0
    for words in chaining.split(argv[1:]):
        if words[0] not in _MAINS:
            allowed = ", ".join(_MAINS)
            print(f"error: command {words[0]}: must be one of {allowed}", file=sys.stderr)
            return 2
        if code := _MAINS[words[0]](words):
            return code
    return 0


if __name__ == "__main__":
    command.leave(main(sys.argv))
