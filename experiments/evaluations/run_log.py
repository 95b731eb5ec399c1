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
    with _of_network(place) as step:
        if step is not None:
            summaries.write_report(name, report, step)


def add_measures(place: str, name: str, found: Measures) -> None:
    """The same of measures."""
    with _of_network(place) as step:
        if step is not None:
            summaries.write_measures(name, found.numbers, found.images, found.warnings, step)


@contextmanager
def _of_network(place: str) -> Iterator[int | None]:
    """Makes the log of a network's round the one written to; the round's last step, or None."""
    run, number = _split(place)
    folder, step = _log_of(run, number)
    if folder is None:
        yield None
        return
    writer = summaries.writer_of(folder)
    with writer.as_default():
        yield step
    writer.flush()


def _split(place: str) -> tuple[str, int | None]:
    """The run of a network, and its round; None for the last."""
    rounds, number = os.path.split(os.path.normpath(place))
    if os.path.basename(rounds) == "rounds" and number.isdecimal():
        return os.path.dirname(rounds), int(number)
    return place, None


def _log_of(run: str, number: int | None) -> tuple[str | None, int]:
    """The folder of a round's events, and its last step; None where a run has no log of it."""
    try:
        known = records.read(run)
    except (OSError, InputError):
        return None, 0
    if not known:
        return None, 0
    number = known[-1]["round"] if number is None else number
    steps = [record["iteration"] for record in known if record["round"] == number]
    events = os.path.join(run, log.FOLDER)
    of_round = log.folder_of(run, number, 2)
    folder = of_round if os.path.isdir(of_round) else events
    return (folder, max(steps)) if steps and os.path.isdir(folder) else (None, 0)
