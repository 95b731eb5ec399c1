"""Event files as they are on the disk: read, and cut where a run continues from."""

import os
import shutil
from collections.abc import Iterable, Iterator

import tensorflow as tf

from robust_sparse_tf import files

_KEPT = "events.out.tfevents.0000000000.kept"  # sorts before every file of a writer


def read(folder: str) -> list[tf.compat.v1.Event]:
    """The events of a folder, which may be missing: all that can be read.

    A file may end within an event if its process was killed.
    """
    return list(_events(folder))


def steps_of(events: Iterable[tf.compat.v1.Event], tag: str) -> set[int]:
    """The steps at which a tag was written."""
    return {event.step for event in events for value in event.summary.value if value.tag == tag}


def keep(folder: str, events: Iterable[tf.compat.v1.Event]) -> None:
    """Leaves some events of a folder, in one file; none leaves no file.

    Args:
        folder: of event files; may be missing.
        events: those that stay.

    Raises:
        WriteError: for a folder that cannot be written.
    """
    kept = [event.SerializeToString() for event in events]
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


def _names(folder: str) -> list[str]:
    """The event files of a folder, oldest first."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in names if "tfevents" in name)


def _events(folder: str) -> Iterator[tf.compat.v1.Event]:
    for name in _names(folder):
        records = iter(tf.data.TFRecordDataset(os.path.join(folder, name)))
        while True:
            try:
                record = next(records)
                event = tf.compat.v1.Event.FromString(record.numpy())
            except (StopIteration, tf.errors.DataLossError):
                break
            yield event
