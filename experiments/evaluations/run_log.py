"""Reports and measures of a run's networks in the run's log, for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etils import epy

from experiments.runs import log, records
from robust_sparse_tf.errors import InputError

if TYPE_CHECKING:
    from experiments.evaluations.stored import Measures
    from robust_sparse_tf.evaluation import Report

with epy.lazy_imports():
    from robust_sparse_tf import summaries


def add_report(place: str, name: str, report: Report) -> None:
    """Adds a report to the log of the run that a network is of; does nothing for other networks.

    Args:
        place: of the network: a run's directory, or RUN/rounds/N.
        name: of the report.
        report: what was found.
    """
    if found := _log_of(place):
        folder, step = found
        with _writing(folder):
            summaries.write_report(name, report, step)


def add_measures(place: str, name: str, found: Measures) -> None:
    """The same of measures."""
    if where := _log_of(place):
        folder, step = where
        with _writing(folder):
            summaries.write_measures(name, found.numbers, found.images, found.warnings, step)


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Makes the log in a folder the one written to."""
    writer = summaries.writer_of(folder)
    with writer.as_default():
        yield
    writer.flush()


def _log_of(place: str) -> tuple[str, int] | None:
    """The folder of the events of a network's round, and its last step; None without a log."""
    run, number = _split(place)
    try:
        known = records.read(run)
    except (OSError, InputError):
        return None
    if number is None:
        number = max((record["round"] for record in known), default=0)
    steps = [record["iteration"] for record in known if record["round"] == number]
    folder = log.logged_folder(run, number)
    return (folder, max(steps)) if steps and folder else None


def _split(place: str) -> tuple[str, int | None]:
    """The run of a network, and its round; None for the last."""
    rounds, number = os.path.split(os.path.normpath(place))
    if os.path.basename(rounds) == "rounds" and number.isdecimal():
        return os.path.dirname(rounds), int(number)
    return place, None
