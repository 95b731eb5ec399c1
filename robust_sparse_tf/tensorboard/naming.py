"""Short names of runs, and which belong together."""

import collections
import re
from collections.abc import Iterable

_EVENTS = "tensorboard"
"""The folder of events in a run's directory, which is not part of a run's name."""

_ROUND = re.compile(r"(?:(.*)/)?round_\d+")


def group_of(run: str) -> str:
    """The run without the folder of its round, if it has one."""
    found = _ROUND.fullmatch(run)
    return (found[1] or ".") if found else run


def labels(runs: Iterable[str]) -> dict[str, str]:
    """Names runs by as many of their last folders as distinguish them from all others.

    The folder of a round comes with the one that it is in. Folders of events are left out.
    """
    parts = {run: [word for word in run.split("/") if word != _EVENTS] or [run] for run in runs}
    counts = collections.Counter(
        tuple(words[-length:]) for words in parts.values() for length in range(1, len(words) + 1)
    )
    return {
        run: "/".join(_shortest(words, counts)) if counts[tuple(words)] == 1 else run
        for run, words in parts.items()
    }


def _shortest(words: list[str], counts: collections.Counter[tuple[str, ...]]) -> list[str]:
    least = 2 if _ROUND.fullmatch(words[-1]) else 1
    for length in range(least, len(words)):
        if counts[tuple(words[-length:])] == 1:
            return words[-length:]
    return words
