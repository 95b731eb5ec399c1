"""Calls the command in the tests' own process, as importing TensorFlow takes longer than a run."""

import contextlib
import io
import logging
import os
import resource
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import IO
from unittest import mock

from experiments import run
from experiments.runs import training_run
from robust_sparse_tf.training import devices

_LOGGERS = ("tensorflow", "absl", "urllib3")  # which the command quietens for good


def call(
    argv: Iterable[str], env: Mapping[str, str], fsize: int | None, light: bool
) -> tuple[int, str, str]:
    """How `experiments.run` ends with these flags.

    Args:
        argv: the flags.
        env: variables of this call alone.
        fsize: the most bytes that a file may have; None for no limit.
        light: without the models and pictures that follow the last round.

    Returns:
        Exit code, stdout and stderr. An exception that gets out of the command has the exit code
        -1 and its traceback on stderr.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_written_to(1, out, contextlib.redirect_stdout))
            stack.enter_context(_written_to(2, err, contextlib.redirect_stderr))
            stack.enter_context(_process_state())
            stack.enter_context(mock.patch.dict(os.environ, env))
            if light:
                stack.enter_context(_no_products())
            if fsize:
                stack.enter_context(_limited(fsize))
            try:
                code = run.main(["run", *argv])
            except BaseException:
                code = -1
                traceback.print_exc()
        return code, _text(out), _text(err)


@contextlib.contextmanager
def _written_to(number: int, file: IO[bytes], redirect: type) -> Iterator[None]:
    """Sends what Python and C++ write to a standard stream to a file."""
    saved = os.dup(number)
    os.dup2(file.fileno(), number)
    stream = io.TextIOWrapper(os.fdopen(os.dup(number), "wb"), write_through=True)
    try:
        with stream, redirect(stream):
            yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


@contextlib.contextmanager
def _process_state() -> Iterator[None]:
    """Devices stay as they are set already; loggers and warnings are as before afterwards."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    shown = warnings.showwarning
    with mock.patch.object(devices, "configure", lambda **_: None), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            yield
        finally:
            warnings.showwarning = shown
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _no_products() -> Iterator[None]:
    export = {"tflite_bytes": 1, "agreement": 1.0}
    with (
        mock.patch.object(training_run, "_export", lambda *_: export),
        mock.patch.object(training_run.figures, "draw", lambda *_: []),
        mock.patch.object(training_run.RunLog, "add_export", lambda *_: None),
    ):
        yield


@contextlib.contextmanager
def _limited(fsize: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
