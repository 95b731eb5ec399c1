"""Durations in words, and estimates of the time left."""

import time


def in_words(seconds: float) -> str:
    """For example "45 s", "12 min" or "3 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """Estimates the time left from the speed since the first call of `at`."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # amount done, and time

    def at(self, done: float, total: float) -> str:
        """For example "12 min left"; "" while nothing is known, and at the end.

        Args:
            done: amount of work done, in any unit.
            total: total amount of work.
        """
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        if not first < done < total:
            return ""
        return f"{in_words((now - start) * (total - done) / (done - first))} left"
