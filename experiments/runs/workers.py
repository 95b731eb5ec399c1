"""Checks that the workers of a distributed run agree before they train together."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.cli.digest import digest
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, TrainingError, reason

# Ends in .partial, so that a folder with only this file still counts as empty after a kill.
_TOKEN = "workers.partial"
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.InternalError, tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError),
)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Makes one line of errors that are raised when another worker ends.

    Raises:
        TrainingError: for a lost worker.
    """
    try:
        yield
    except _LOST as error:
        why = reason(error)[:120]
        raise TrainingError(
            f"another worker was lost, or cannot be reached ({why}); start all again, each with "
            "the same command"
        ) from error


def agree(strategy: tf.distribute.Strategy, facts: Mapping[str, Any]) -> None:
    """Refuses workers that differ in a fact; the message names it.

    Args:
        strategy: strategy of all workers; each worker must call this.
        facts: facts by name; all workers have the same names.

    Raises:
        InputError: in each worker, if they differ.
    """
    rows = _gathered(strategy, [int(digest(value), 16) for value in facts.values()])
    for column, (name, value) in enumerate(facts.items()):
        if len(np.unique(rows[:, column])) > 1:
            raise InputError(
                f"{name}={value}: must be the same for all workers of a distributed run"
            )


def wait(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers have called this."""
    _gathered(strategy, [0])


def share_folder(
    strategy: tf.distribute.Strategy, folder: str, chief: bool, finished: bool
) -> bool:
    """Refuses workers that do not see the same directory of the run.

    Args:
        strategy: strategy of all workers; each worker must call this.
        folder: folder of the run.
        chief: whether this is the worker that writes there.
        finished: state of the run, known to the chief.

    Returns:
        The chief's value.

    Raises:
        InputError: in each worker, if one does not see the chief's files.
    """
    path = os.path.join(folder, _TOKEN)
    own = secrets.randbits(62) if chief else 0
    if chief:
        files.write_text(path, str(own))
    token, done = _gathered(strategy, [own, int(finished)]).max(axis=0).tolist()
    seen = _gathered(strategy, [int(_content(path) == str(token))])
    if chief:
        os.remove(path)
    if not seen.all():
        raise InputError(
            f"{folder}: must be a folder that all workers of a distributed run share; some do not "
            "see the files of the first"
        )
    return bool(done)


def _gathered(strategy: tf.distribute.Strategy, numbers: list[int]) -> np.ndarray:
    """The numbers of all workers: int64 [replicas, numbers]."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):  # a single worker
        return np.array([numbers])
    row = tf.constant([numbers], tf.int64)
    found: np.ndarray = strategy.gather(strategy.run(lambda: tf.identity(row)), axis=0).numpy()
    return found


def _content(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
