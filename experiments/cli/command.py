"""Exit codes of commands, and one-line errors."""

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
_interrupts: list[int] = []  # interrupts of the command that is running


class BusyError(InputError):
    """Another process is using the same directory; the same command may succeed later."""


def exit_code(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Runs the work; returns its result, or the exit code of its failure, with a line on stderr.

    Args:
        work: function that runs the command.
        interrupted: message after an interrupt.

    Returns:
        2 for wrong input, 75 if another process is using the same directory, 1 for a run that
        failed or a file that cannot be read or written, 130 for an interrupt.
    """
    with _noted_interrupts():
        try:
            return work()
        except BaseException as error:
            code, message = _failure(error)
            # TensorFlow's C++ code turns an interrupt into errors of its own.
            if _interrupts or isinstance(error, KeyboardInterrupt):
                code, message = _INTERRUPTED, interrupted
            if not code:
                raise
    print(f"error: {message}", file=sys.stderr)
    return code


def show_warnings() -> None:
    """Shows only warnings for users from now on, one line each."""
    warnings.showwarning = _show_warning


def raise_if_interrupted() -> None:
    """Raises an interrupt again if it came while a destructor ran, where Python ignores it.

    Long commands call this from time to time.
    """
    if _interrupts:
        raise KeyboardInterrupt


def directory_of(argv: list[str], usage: str) -> str:
    """The only argument of a command that has no flags.

    Args:
        argv: the command line, which begins with the program's name.
        usage: the command's help, which begins with its form.

    Raises:
        InputError: for any other command line.
    """
    if len(argv) != 2 or argv[1].startswith("-"):
        raise InputError(f"usage: {usage.splitlines()[0]}")
    return argv[1]


def leave(code: int) -> NoReturn:
    """Ends the process; after an interrupt, by the signal itself, so that shell loops end, too.

    CPython does so itself, but only if the interrupt hit code that was made by `exec`.
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
    """The exit code and message of an error; code 0 for a bug of ours, which must not be hidden."""
    if isinstance(error, BusyError):
        return BUSY, str(error)
    if isinstance(error, InputError):
        return REFUSED, str(error)
    if isinstance(error, TrainingError):
        return 1, str(error)
    # TensorFlow's error, without importing it; for a full disk it names the file instead.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return 1, f"not enough memory ({(str(error).splitlines() or [''])[0][-200:]})"
    if isinstance(error, OSError):
        verb = "write" if isinstance(error, WriteError) else "read or write"
        return 1, f"cannot {verb} {error.filename}: {error.strerror or error}"
    return 0, ""


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[None]:
    """Keeps a list of interrupts; each still raises KeyboardInterrupt."""
    _interrupts.clear()

    def note(number: int, frame: Any) -> None:
        _interrupts.append(number)
        signal.default_int_handler(number, frame)

    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:  # ignored, as for background jobs of a shell
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
