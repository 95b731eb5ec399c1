"""Makes standard streams robust: closed streams and narrow encodings do not stop training."""

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe, or a terminal


class _Raw(io.FileIO):
    """Discards output that nobody can read any more."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return memoryview(data).nbytes


def prepare() -> None:
    """Prepares the streams of this process for a long command.

    Output to closed streams is discarded, and errors go to standard output. Characters that a
    stream cannot encode are escaped. An interrupt ends the process with one line, as long as there
    is nothing to clean up.
    """
    _open_closed()
    for name, number in (("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        raw = io.BufferedWriter(_Raw(number, "wb", closefd=False))
        stream = io.TextIOWrapper(
            raw,
            encoding=before.encoding if before else None,
            errors="backslashreplace",
            line_buffering=number == 2 or os.isatty(number),
            write_through=number == 2 or bool(before and before.write_through),
        )
        setattr(sys, name, stream)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Ends the process on an interrupt, by the signal itself, with one line.

    Otherwise, modules that are interrupted during import raise other errors.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    stream = os.dup(2)  # where errors go, even if descriptor 2 changes
    signal.signal(signal.SIGINT, lambda number, _: _end(number, None, stream))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(stream)


def _end(number: int, frame: FrameType | None, stream: int = 2) -> None:
    del frame
    os.write(stream, b"error: interrupted\n")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _open_closed() -> None:
    """Opens closed streams, so that no other file gets their descriptors."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            if number == 2:
                os.dup2(1, 2)
            else:
                os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor
