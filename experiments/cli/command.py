"""How the commands end: one line that says what was wrong, and an exit code."""

import contextlib
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from experiments.cli import quiet
from robust_sparse_tf.errors import InputError, RunWarning, TrainingError
from robust_sparse_tf.files import WriteError

REFUSED = 2
BUSY = 75  # EX_TEMPFAIL of sysexits.h
_INTERRUPTED = 128 + signal.SIGINT
_interrupts: list[int] = []  # those of the command that runs


class BusyError(InputError):
    """Another process works in the same directory; the same command may succeed later."""


def exit_code(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """What the work returns, or the code of its failure, with a line on stderr.

    Args:
        work: the command.
        interrupted: what is said after an interrupt.

    Returns:
        2 for wrong input, 75 where another process works in the same directory, 1 for a run that
        failed or a file that cannot be read or written, 130 for an interrupt.
    """
    with _noted_interrupts():
        try:
            return work()
        except BaseException as error:
            code, message = _failure(error)
            # TensorFlow's C++ code makes errors of its own from an interrupt.
            if _interrupts or isinstance(error, KeyboardInterrupt):
                code, message = _INTERRUPTED, interrupted
            if not code:
                raise
    print(f"error: {message}", file=sys.stderr)
    return code


def show_warnings() -> None:
    """Shows a user, from now on, the warnings that are for one, each in a line, and no others."""
    warnings.showwarning = _show_warning


def raise_if_interrupted() -> None:
    """Raises an interrupt again that came while a destructor ran, as Python ignores it there.

    Called from time to time by commands that take long.
    """
    if _interrupts:
        raise KeyboardInterrupt


def leave(code: int) -> NoReturn:
    """Ends the process; after an interrupt by the signal itself, so that a shell's loop ends, too.

    CPython does so by itself, but only where the interrupt hit code that was made by `exec`.
    """
    if code == _INTERRUPTED:
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, RunWarning):
        quiet.say(f"warning: {message}")


def _failure(error: BaseException) -> tuple[int, str]:
    """The code and the line of an error; code 0 for a fault of ours, which is not to be hidden."""
    if isinstance(error, BusyError):
        return BUSY, str(error)
    if isinstance(error, InputError):
        return REFUSED, str(error)
    if isinstance(error, TrainingError):
        return 1, str(error)
    # TensorFlow's own, which is not imported for it; a full disk has its file's name instead.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return 1, f"not enough memory ({(str(error).splitlines() or [''])[0][-200:]})"
    if isinstance(error, OSError):
        verb = "write" if isinstance(error, WriteError) else "read or write"
        return 1, f"cannot {verb} {error.filename}: {error.strerror or error}"
    return 0, ""


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[None]:
    """Keeps a list of the interrupts; each still raises KeyboardInterrupt."""
    _interrupts.clear()

    def note(number: int, frame: Any) -> None:
        _interrupts.append(number)
        signal.default_int_handler(number, frame)

    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:  # as for a shell's background jobs
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
