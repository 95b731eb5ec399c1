"""Durations in words, and estimates of the time left."""

import pytest

from robust_sparse_tf import durations


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5990, "1 h 40 min"), (36000, "10 h 0 min")],
)
def test_in_words(seconds, words):
    assert durations.in_words(seconds) == words


def test_time_left(monkeypatch):
    """At the speed since the first call; nothing is said where nothing is known, or left."""
    now = [5.0]
    monkeypatch.setattr(durations.time, "monotonic", lambda: now[0])
    left = durations.TimeLeft()
    assert left.at(50, 100) == ""
    now[0] = 15
    assert left.at(50, 100) == ""
    assert left.at(60, 100) == "40 s left"
    assert left.at(100, 100) == ""
