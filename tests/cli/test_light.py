"""Commands that need no network start without TensorFlow, which takes many seconds to load."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_report import result, sweep_of

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    *("run", "sweep", "evaluate", "measure", "export", "report", "pareto", "chain", "check"),
)
BAD = {
    "run": "--attack.epsilon=-1",
    "sweep": "--grid=method=lottery,pace=1",
    "evaluate": "--model=there --norm=l7",
    "measure": "--model=there --at_rounds=one",
    "export": "--model=there --formats=zip",
    "report": "there and here",
    "pareto": "there and here",
    "chain": "train --rounds=1",
}
HEAVY = {"tensorflow", "tf_keras", "tensorflow_model_optimization", "cleverhans", "scipy"}


def started(command: str, *words: str) -> tuple[int, str, set[str]]:
    """The exit code of a command, its last line and the packages that it imported."""
    argv = [sys.executable, "-X", "importtime", "-m", f"experiments.{command}", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=600)
    imported = set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.M))
    assert "experiments" in imported  # the list was read
    *_, last = (done.stdout + done.stderr).rstrip().splitlines()
    return done.returncode, last, imported


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    code, _, imported = started(command, "--help")
    assert (code, imported & {*HEAVY, "matplotlib"}) == (0, set())


@pytest.mark.parametrize(("command", "words"), BAD.items())
def test_bad_flags(command, words):
    code, _, imported = started(command, *words.split())
    assert (code, imported & {*HEAVY, "matplotlib"}) == (2, set())


def test_report(tmp_path):
    folder = sweep_of(tmp_path, [result("set", 0.5), result("set", 0.1)])
    code, _, imported = started("report", str(folder))
    assert (code, imported & HEAVY) == (0, set())
    assert (folder / "report.md").exists()


def test_an_import_that_fails_says_why(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no library of that name')")
    code = "from experiments.cli.quiet import load_tensorflow; load_tensorflow()"
    argv = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; {code}"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 1
    assert "no library of that name" in done.stderr
