"""How the commands end: one line that says what was wrong, and an exit code."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from robust_sparse_tf.errors import InputError, TrainingError

_INTERRUPTED = 128 + signal.SIGINT


def exit_code(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """What the work returns, or the code of its failure, with a line on stderr.

    Args:
        work: the command.
        interrupted: what is said after an interrupt.

    Returns:
        2 for wrong input, 1 for a run that failed or a file that cannot be written, 130 for an
        interrupt.
    """
    try:
        return work()
    except InputError as error:
        code, message = 2, str(error)
    except TrainingError as error:
        code, message = 1, str(error)
    except OSError as error:
        code, message = 1, f"cannot write {error.filename}: {error.strerror or error}"
    except KeyboardInterrupt:
        code, message = _INTERRUPTED, interrupted
    print(f"error: {message}", file=sys.stderr)
    return code


def leave(code: int) -> NoReturn:
    """Ends the process; after an interrupt by the signal itself, so that a shell's loop ends, too.

    CPython does so by itself, but only where the interrupt hit code that was made by `exec`.
    """
    if code == _INTERRUPTED:
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    sys.exit(code)
