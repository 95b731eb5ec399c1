"""Event files as they are on the disk: read, and cut where a run continues from."""

import os
import shutil
from collections.abc import Iterator

import tensorflow as tf

from robust_sparse_tf import files
from robust_sparse_tf.summaries import log_format

_KEPT = "events.out.tfevents.0000000000.kept"  # sorts before every file of a writer


def steps_of(folder: str, tag: str) -> set[int]:
    """The steps at which a tag was written to the event files of a folder."""
    return {
        event.step for event in _events(folder) for value in event.summary.value if value.tag == tag
    }


def keep(folder: str, last: int) -> None:
    """Leaves the events up to a step, in one file; the folder is emptied where there are none.

    Args:
        folder: of event files; may be missing.
        last: the last step that stays.

    Raises:
        WriteError: for a folder that cannot be written.
    """
    kept = [event.SerializeToString() for event in _events(folder) if event.step <= last]
    partial = f"{folder}.partial"
    with files.naming(folder):
        shutil.rmtree(partial, ignore_errors=True)
        if kept:
            os.makedirs(partial)
            with tf.io.TFRecordWriter(os.path.join(partial, _KEPT)) as writer:
                for event in kept:
                    writer.write(event)
        for name in _names(folder):
            os.remove(os.path.join(folder, name))
        if kept:
            os.makedirs(folder, exist_ok=True)
            os.replace(os.path.join(partial, _KEPT), os.path.join(folder, _KEPT))
            os.rmdir(partial)


def is_logged(folder: str) -> bool:
    """Whether a folder holds event files with data of the plugin."""
    return bool(steps_of(folder, log_format.RUN))


def _names(folder: str) -> list[str]:
    """The event files of a folder, oldest first."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in names if "tfevents" in name)


def _events(folder: str) -> Iterator[tf.compat.v1.Event]:
    """The readable events: a file may end within an event if its process was killed."""
    for name in _names(folder):
        records = iter(tf.data.TFRecordDataset(os.path.join(folder, name)))
        while True:
            try:
                record = next(records)
                event = tf.compat.v1.Event.FromString(record.numpy())
            except (StopIteration, tf.errors.DataLossError):
                break
            yield event
