"""Streams that are closed, or of few letters, stop no command; interrupts say one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A command of its own, in the package as its modules are.
SCRIPT = """
import sys
from experiments.cli import command, streams
streams.prepare()
def work():
    {work}
    open(sys.argv[1], "w").write("whole")
    return 0
command.leave(command.exit_code(work))
"""
MUCH = "for _ in range(10_000): print('a line, é', flush=True); print('é', file=sys.stderr)"


def call(tmp_path, work: str, redirect: str, **env: str) -> tuple[int, bool, bytes]:
    """The exit code, whether the work came to its end, and what was printed."""
    (tmp_path / "script.py").write_text(SCRIPT.format(work=work))
    line = f"{sys.executable} {tmp_path}/script.py {tmp_path}/done {redirect}"
    variables = os.environ | {"PYTHONPATH": str(ROOT), "RST_LIGHT_IMPORT": "1"} | env
    argv = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(argv, env=variables, capture_output=True, timeout=600)
    return done.returncode, (tmp_path / "done").exists(), done.stdout + done.stderr


@pytest.mark.parametrize("redirect", ["| true", "2>&1 | head -1", ">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams(tmp_path, redirect):
    code, done, _ = call(tmp_path, MUCH, redirect)
    assert (code, done) == (0, True)


def test_errors_where_stderr_is_closed(tmp_path):
    failing = "raise command.InputError('rate=2: must be at most 1')"
    code, done, said = call(tmp_path, failing, "2>&-")
    assert (code, done, said) == (2, False, b"error: rate=2: must be at most 1\n")


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_terminals_of_few_letters(tmp_path, env):
    code, done, said = call(tmp_path, MUCH, "2>&1 | tail -1", **env)
    assert (code, done, said.strip()[-4:] in (b"\\xe9", "é".encode())) == (0, True, True)


@pytest.mark.parametrize("loads", [False, True])
def test_interrupts_while_importing(tmp_path, loads):
    """Modules that are interrupted raise errors of their own; here they swallow the interrupt."""
    (tmp_path / "tensorflow.py").write_text(
        "import time\nopen('ready', 'w').close()\ntry:\n    time.sleep(600)\n"
        "except BaseException as e:\n    raise ImportError('line\\n' * 30) from e\n"
    )
    work = "quiet.load_tensorflow()" if loads else "import tensorflow"
    code = f"from experiments.cli import quiet, streams; streams.prepare(); {work}"
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "RST_LIGHT_IMPORT": "1"}
    argv = [sys.executable, "-c", code]
    child = subprocess.Popen(argv, env=env, cwd=tmp_path, stderr=subprocess.PIPE)
    while not (tmp_path / "ready").exists():
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=600)[1]
    assert (child.returncode, said) == (-signal.SIGINT, b"error: interrupted\n")
