"""Keeps the log that TensorFlow's C++ code writes out of the run's own output."""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from experiments.cli import streams

_shown: list[int] = []  # what file descriptor 2 was, while it is held back


def say(line: str) -> None:
    """Prints a line on stderr, though it may be held back."""
    if not _shown:
        print(line, file=sys.stderr, flush=True)
        return
    os.write(_shown[0], f"{line}\n".encode())


def quiet_loggers() -> None:
    """Leaves out what libraries log that is no error, as of downloads that are tried again."""
    for name in ("tensorflow", "absl", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and shows it only if an error is raised,
    which an interrupt is not."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        _shown.append(saved)
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            _shown.remove(saved)
            os.dup2(saved, 2)
            os.close(saved)


def load_tensorflow() -> None:
    """Imports TensorFlow, without what it logs meanwhile, where no setting of it is looked at yet.

    Commands call it when they are sure to need a network: it takes many seconds, and the library
    and the rooms of `experiments` do without it until then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with streams.ending_at_once(), quiet_stderr():
        importlib.import_module("tensorflow")
        importlib.import_module("robust_sparse_tf.keras_classes")
