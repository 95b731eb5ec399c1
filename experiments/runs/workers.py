"""The workers of a distributed run, which must be of one mind before they train together."""

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

# Ends in .partial, so that after a kill a folder with this file alone still counts as empty.
_TOKEN = "workers.partial"
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.InternalError, tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError),
)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Makes one line of what is raised where another worker ends.

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
    """Refuses workers that differ in a fact, in a line that names it.

    Args:
        strategy: of all workers, each of which calls this.
        facts: by names that are the same in all workers.

    Raises:
        InputError: in each worker, where they differ.
    """
    rows = _gathered(strategy, [int(digest(value), 16) for value in facts.values()])
    for column, (name, value) in enumerate(facts.items()):
        if len(np.unique(rows[:, column])) > 1:
            raise InputError(
                f"{name}={value}: must be the same for all workers of a distributed run"
            )


def wait(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come so far."""
    _gathered(strategy, [0])


def share_folder(
    strategy: tf.distribute.Strategy, folder: str, chief: bool, finished: bool
) -> bool:
    """Refuses workers that do not see the same directory of the run.

    Args:
        strategy: of all workers, each of which calls this.
        folder: of the run.
        chief: whether this is the worker that writes there.
        finished: what the chief knows of the run.

    Returns:
        What the chief knows.

    Raises:
        InputError: in each worker, where one does not see what the chief writes there.
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
            f"{folder}: must be one folder that all workers of a distributed run see; what the "
            "first writes there is not seen by all"
        )
    return bool(done)


def _gathered(strategy: tf.distribute.Strategy, numbers: list[int]) -> np.ndarray:
    """The numbers of all workers: int64 [replicas, numbers]."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):  # one alone
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
