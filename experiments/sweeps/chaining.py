"""Command lines of several commands, to be run one after the other in one process."""

import itertools
from collections.abc import Iterable, Sequence

_BETWEEN = "--"


def join(commands: Iterable[Sequence[str]]) -> list[str]:
    """The arguments of a chain of commands, each its name and its flags."""
    first, *others = commands
    return [*first, *(word for other in others for word in (_BETWEEN, *other))]


def split(words: Iterable[str]) -> list[list[str]]:
    """The commands of `join`."""
    groups = itertools.groupby(words, _BETWEEN.__eq__)
    return [list(group) for is_border, group in groups if not is_border]
