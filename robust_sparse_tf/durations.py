"""Durations in words, and how long work still takes."""

import time


def in_words(seconds: float) -> str:
    """Such as "45 s", "12 min" and "3 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """Estimates how long work still takes from its speed since the first call of `at`."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # what was done, and when

    def at(self, done: float, total: float) -> str:
        """Such as "12 min left"; "" while nothing is known, and at the end.

        Args:
            done: how much of the work is done, in any unit.
            total: of the work.
        """
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        if not first < done < total:
            return ""
        return f"{in_words((now - start) * (total - done) / (done - first))} left"
