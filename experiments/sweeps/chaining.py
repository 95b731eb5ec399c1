"""Command lines of several commands for one process, see `experiments.chain`."""

import itertools
from collections.abc import Iterable, Sequence

_BETWEEN = "--"


def join(commands: Iterable[Sequence[str]]) -> list[str]:
    """Joins commands, each a name with flags, to the arguments of a chain."""
    first, *others = commands
    return [*first, *(word for other in others for word in (_BETWEEN, *other))]


def split(words: Iterable[str]) -> list[list[str]]:
    """Splits the arguments of a chain into commands; the inverse of `join`."""
    groups = itertools.groupby(words, _BETWEEN.__eq__)
    return [list(group) for is_border, group in groups if not is_border]
