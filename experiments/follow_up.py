"""Command lines inside of a sweep's flags: what is done with each finished cell."""

import dataclasses
import shlex
from collections.abc import Callable
from typing import Any

from robust_sparse_tf.errors import InputError

_OWN = ("model", "output")  # which the sweep sets itself


def parse(command: str, text: str, options_of: Callable[[list[str]], Any]) -> Any:
    """The options of a text such as "--attacks=standard --epsilons=0.1".

    Args:
        command: of `experiments`, and the sweep's flag.
        text: the flags that the command is to have.
        options_of: from the words of a command line to its options.

    Raises:
        InputError: for what the command would refuse, and for a model or an output.
    """
    try:
        options = options_of([command, *shlex.split(text)])
    except ValueError as error:
        raise InputError(f"{command}={text}: cannot be read ({error})") from error
    for name in _OWN:
        if getattr(options, name, ""):
            raise InputError(f"{command}={text}: must not say --{name}, which is the cell's")
    return options


def of_cell(options: Any, values: dict[str, Any]) -> Any | None:
    """The options for one cell: with the rounds that it has; None where it has none of them.

    Args:
        options: with `rounds`, empty for what the command does without.
        values: the cell's flags.
    """
    count = values["rounds"] if values["method"] == "lottery" else 1
    rounds = [word for word in options.rounds if int(word) < count]
    if options.rounds and not rounds:
        return None
    return dataclasses.replace(options, rounds=rounds)
