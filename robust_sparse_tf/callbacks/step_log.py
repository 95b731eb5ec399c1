"""Base of callbacks that log for TensorBoard: when they write, and where."""

import abc
import contextlib
import os
from collections.abc import Iterator

import tf_keras as keras

from robust_sparse_tf import files, summaries
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.options import checked, checked_path, require


class StepLog(keras.callbacks.Callback, abc.ABC):
    """Writes to TensorBoard's log at the ends of epochs, or each time that some steps are done.

    Steps are counted over the fits that a callback is given to.

    Args:
        log_dir: folder of the event files.
        every: steps between two points; None for one per epoch.

    Raises:
        InputError: for a folder that is not a path, or an invalid number.
    """

    def __init__(self, log_dir: str, every: int | None = None) -> None:
        super().__init__()
        self._folder = checked_path("log_dir", log_dir)
        self._every = None if every is None else checked("every", every, int, minimum=1)
        self._steps = self._of_epoch = 0
        self._due = self._every or 0
        with files.naming(self._folder):
            self._writer = summaries.writer_of(self._folder)
        self._is_begun = False

    def set_model(self, model: keras.Model) -> None:
        """Called by `fit`; raises `InputError` unless it is a tf_keras model."""
        require("model", model, keras.Model)
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Writes what the run is, once."""
        if not self._is_begun:
            self._is_begun = True
            with self._writing():
                summaries.write_run(_info(self._folder, self.model))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Counts the steps of an epoch from 0."""
        self._of_epoch = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Writes a point where `every` steps are done."""
        self._steps += batch + 1 - self._of_epoch
        self._of_epoch = batch + 1
        if self._every and self._steps >= self._due:
            self._due = self._steps + self._every
            self._write(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes a point, unless that is done each `every` steps."""
        if not self._every:
            self._write(logs)

    def _write(self, logs: dict[str, float] | None) -> None:
        with self._writing():
            self.write(self._steps, {} if logs is None else logs)

    @abc.abstractmethod
    def write(self, step: int, logs: dict[str, float]) -> None:
        """Writes a point to the default writer.

        Args:
            step: training steps done.
            logs: metrics, which Keras hands on to the callbacks after this one.
        """

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Makes the folder's log the one written to."""
        with files.naming(self._folder), self._writer.as_default():
            yield
            self._writer.flush()


def _info(folder: str, model: keras.Model) -> summaries.RunInfo:
    method = getattr(network_of(model), "method", None)
    attack = getattr(model, "attack", None)
    return summaries.RunInfo(
        name=os.path.basename(os.path.abspath(folder)),
        method=type(method).__name__ if method else "dense",
        density=getattr(method, "density", None),
        attack=type(attack).__name__ if attack else "none",
    )
