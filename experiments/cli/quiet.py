"""Keeps the log of TensorFlow's C++ code out of the output of commands."""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from experiments.cli import streams

_shown: list[int] = []  # the original file descriptor 2, while it is held back


def say(line: str) -> None:
    """Prints a line on stderr, even while it is held back."""
    if not _shown:
        print(line, file=sys.stderr, flush=True)
        return
    os.write(_shown[0], f"{line}\n".encode())


def quiet_loggers() -> None:
    """Hides logs of libraries below errors, such as those on repeated downloads."""
    for name in ("tensorflow", "absl", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back output to file descriptor 2, and shows it only if an error is raised.

    An interrupt is not an error.
    """
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
    """Imports TensorFlow without its log; changes none of its settings.

    Commands call it once they know that they need a network: it takes many seconds, and all other
    code works without it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with streams.ending_at_once(), quiet_stderr():
        importlib.import_module("tensorflow")
        importlib.import_module("robust_sparse_tf.keras_classes")
