"""Runs several commands one after the other in one process, as TensorFlow takes long to start."""

import itertools
import os
import sys
from collections.abc import Iterable, Sequence

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    from experiments import command, evaluate, measure, run

_MAINS = {"run": run.main, "evaluate": evaluate.main, "measure": measure.main}
_BETWEEN = "--"


def main(argv: list[str]) -> int:
    """The commands, as in "run FLAGS -- evaluate FLAGS -- measure FLAGS", to the first that fails.

    Returns:
        Its exit code, see `command.exit_code`; 0 where all end well.
    """
    for words in split(argv[1:]):
        if words[0] not in _MAINS:
            allowed = ", ".join(_MAINS)
            print(f"error: command {words[0]}: must be one of {allowed}", file=sys.stderr)
            return 2
        if code := _MAINS[words[0]](words):
            return code
    return 0


def join(commands: Iterable[Sequence[str]]) -> list[str]:
    """The arguments of a chain of commands, each its name and its flags."""
    first, *others = commands
    return [*first, *(word for other in others for word in (_BETWEEN, *other))]


def split(words: Iterable[str]) -> list[list[str]]:
    """The commands of `join`."""
    groups = itertools.groupby(words, _BETWEEN.__eq__)
    return [list(group) for is_border, group in groups if not is_border]


if __name__ == "__main__":
    command.leave(main(sys.argv))
