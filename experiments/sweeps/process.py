"""Runs a command of a sweep as a process with its own core, which ends with its parent.

Ray's workers import this module, so it needs only the standard library.
"""

import contextlib
import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_NO_CORE = -1


def run(
    command: Sequence[str], log: str, environment: Mapping[str, str], folder: str, limit: int = 0
) -> tuple[int, str]:
    """Runs a command to its end, on a core that no other command of a sweep uses.

    Args:
        command: the program and its arguments.
        log: file to which the command and its output are appended; its folder is created.
        environment: environment variables of the process.
        folder: working directory.
        limit: seconds after which it is stopped; 0 for never.

    Returns:
        The exit code, negative for a signal, and the last line printed ("" for none).
    """
    # No function between fork and exec, which may hang if there are threads.
    guard = [sys.executable, "-I", __file__, str(os.getpid()), str(limit)]
    try:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with _own_core() as core, open(log, "ab", buffering=0) as file:
            file.write(f"$ {shlex.join(command)}\n".encode())
            with subprocess.Popen(
                [*guard, str(core), *command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # interrupts go to the sweep, which stops its commands
            ) as child:
                said = _copy(child, file)
            if child.returncode == -signal.SIGALRM:
                said = f"took longer than {limit} s, and was stopped"
            return child.returncode, said
    except OSError as error:
        return 1, f"cannot be run: {error}"


def _copy(child: subprocess.Popen[bytes], file: BinaryIO) -> str:
    """Copies the output of a process until it ends; returns the last line that is not blank.

    The line is not read from the log, as another sweep may write there at the same time.
    """
    said = b""
    try:
        for line in child.stdout or ():
            file.write(line)
            said = line.strip() or said
    except BaseException:
        child.kill()
        raise
    return said.decode(errors="replace")


def last_line(path: str) -> str:
    """The last line of a text file that is not blank; "" for none."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextlib.contextmanager
def _own_core() -> Iterator[int]:
    """Claims a core that no other command of a sweep uses on this machine; none if all are used.

    The claim is a socket name without a file, which the kernel frees with the process.
    """
    with contextlib.ExitStack() as claims:
        for core in sorted(os.sched_getaffinity(0)):
            claim = claims.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(OSError):
                claim.bind(f"\0robust_sparse_tf-core-{core}")
                yield core
                return
        yield _NO_CORE


def _become(parent: int, limit: int, core: int, command: list[str]) -> None:
    """Turns this process into a command that is killed when `parent` ends or at its limit."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the signal was requested
        sys.exit(1)
    if core != _NO_CORE:
        os.sched_setaffinity(0, {core})
    signal.alarm(limit)  # exec keeps the alarm, and no command handles SIGALRM
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
