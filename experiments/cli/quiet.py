"""Keeps the log that TensorFlow's C++ code writes out of the run's own output."""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and shows it only if an error is raised."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def load_tensorflow() -> None:
    """Imports TensorFlow, without what it logs meanwhile, where no setting of it is looked at yet.

    Commands call it when they are sure to need a network: it takes many seconds, and the library
    and the rooms of `experiments` do without it until then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        importlib.import_module("tensorflow")
        importlib.import_module("robust_sparse_tf.keras_classes")
