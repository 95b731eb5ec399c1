"""How the commands end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli import command
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.files import WriteError

ROOT = Path(__file__).resolve().parents[2]


def failing(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    "error, code, line",
    [
        (InputError("a=1: must be 2"), 2, "a=1: must be 2"),
        (TrainingError("the loss is not finite"), 1, "the loss is not finite"),
        (WriteError(28, "No space left on device", "f.json"), 1, "cannot write f.json: No space"),
        (OSError(2, "No such file", "f.json"), 1, "cannot read or write f.json: No such file"),
        (MemoryError("no room"), 1, "not enough memory (no room)"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_failures_are_one_line(capsys, error, code, line):
    assert command.exit_code(failing(error), "stopped") == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {line}")


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        command.exit_code(lambda: 1 // 0)


def test_an_interrupt_that_becomes_another_error(capsys):
    """As C++ code makes of it; an error without an interrupt before it stays what it is."""

    def work() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("error_already_set") from None
        return 0

    handler = signal.getsignal(signal.SIGINT)
    assert command.exit_code(work, "stopped") == 130
    assert capsys.readouterr().err == "error: stopped\n"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_destructor_is_not_lost(capsys):
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> int:
        Interrupted()
        command.raise_if_interrupted()
        return 0

    assert command.exit_code(work, "stopped") == 130
    assert capsys.readouterr().err == "error: stopped\n"
    assert command.exit_code(lambda: command.raise_if_interrupted() or 0) == 0


def test_ignored_interrupts_stay_ignored():
    def work() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert command.exit_code(work) == 0
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_leave(code):
    with pytest.raises(SystemExit) as found:
        command.leave(code)
    assert found.value.code == code


@pytest.mark.parametrize("made_by", ["a file", "exec"])
def test_leave_after_an_interrupt(tmp_path, made_by):
    """By the signal; CPython's own way out differs with where the interrupt hit."""
    interrupt = (
        "raise KeyboardInterrupt" if made_by == "a file" else "exec('raise KeyboardInterrupt')"
    )
    (tmp_path / "program.py").write_text(
        "from experiments.cli import command\n"
        "def work():\n"
        "    print('so far', end='')\n"
        f"    {interrupt}\n"
        "command.leave(command.exit_code(work))\n"
    )
    arguments = [sys.executable, "-m", "program"]
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(arguments, env=os.environ | paths, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stdout == "so far"
    assert done.stderr.splitlines()[-1] == "error: interrupted"
