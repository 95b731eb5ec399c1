"""Event files that are cut where a run continues."""

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf.summaries import event_files


@pytest.fixture
def folder(tmp_path) -> str:
    """Scalars "a" of steps 1 to 4 and "b" of step 3, in two files."""
    place = str(tmp_path / "log")
    for steps in ((1, 2), (3, 4)):
        with tf.summary.create_file_writer(place).as_default():
            for step in steps:
                tf.summary.scalar("a", step, step=step)
    with tf.summary.create_file_writer(place).as_default():
        tf.summary.scalar("b", 0.0, step=3)
    return place


def keep(folder: str, last: int) -> None:
    """Keeps what was written up to a step."""
    events = event_files.read(folder)
    event_files.keep(folder, [event for event in events if event.step <= last])


def found(folder: str) -> dict[str, list[int]]:
    events = EventAccumulator(folder)
    events.Reload()
    tags = events.Tags()["tensors"]
    return {tag: [event.step for event in events.Tensors(tag)] for tag in tags}


def test_steps(folder):
    assert event_files.steps_of(event_files.read(folder), "a") == {1, 2, 3, 4}
    assert event_files.steps_of(event_files.read(folder), "b") == {3}
    assert event_files.read(folder + "/none") == []


def test_keep(folder, tmp_path):
    keep(folder, 3)
    assert found(folder) == {"a": [1, 2, 3], "b": [3]}
    assert len(list((tmp_path / "log").iterdir())) == 1
    keep(folder, 2)
    assert found(folder) == {"a": [1, 2]}
    with tf.summary.create_file_writer(folder).as_default():
        tf.summary.scalar("a", 3, step=3)
    assert found(folder) == {"a": [1, 2, 3]}


def test_a_file_that_ends_within_an_event(folder, tmp_path):
    """As where a process was killed: what is whole stays."""
    last = sorted((tmp_path / "log").iterdir())[0]
    last.write_bytes(last.read_bytes()[:-3])
    keep(folder, 9)
    assert found(folder)["a"] == [1, 3, 4]


def test_keep_nothing(tmp_path):
    keep(str(tmp_path / "none"), 3)
    assert not (tmp_path / "none").exists()
