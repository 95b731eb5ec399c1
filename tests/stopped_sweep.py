"""Sweeps that end when they have reported on their first cell, of flagfiles made shorter."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# Of what makes a training long; other settings stay as the flagfile has them.
_MOST = {"rounds": 2, "iterations": 4, "dense_iterations": 4, "evaluate_every": 2}
_MOST |= dict.fromkeys(("clean_epochs", "robust_epochs", "prune_after_epochs"), 1)
_MOST |= {"evaluate_epochs": 1}


def shortened(command: list[str], folder: Path) -> list[str]:
    """The command of a flagfile's sweep with less training and fewer images.

    Args:
        command: its last word is "--flagfile=...".
        folder: where the shorter flagfile is written.
    """
    path = Path(ROOT, command[-1].removeprefix("--flagfile="))
    short = folder / path.name
    lines = [_shortened(line) for line in path.read_text().splitlines()]
    sizes = ["--test_size=200"]
    if any("_epochs=" in line for line in lines):
        sizes.append("--train_size=256")
    short.write_text("\n".join([*lines, *sizes]))
    return [*command[:-1], f"--flagfile={short}"]


def _shortened(line: str) -> str:
    if line.startswith("--evaluate_at="):
        return ""
    if line.startswith(("--evaluate=", "--measure=")):
        return re.sub(r" --(at_rounds|examples)=\S+", "", line) + " --at_rounds=0 --examples=4"
    return re.sub(
        rf"\b({'|'.join(_MOST)})=(\d+)",
        lambda found: f"{found[1]}={min(_MOST[found[1]], int(found[2]))}",
        line,
    )


def first_report(command: list[str], folder: Path) -> Path:
    """Runs a sweep's command line, stops it at its first report, and returns its directory.

    Args:
        command: its first word is "python".
        folder: where its output goes, empty before.
    """
    running = subprocess.Popen(
        [sys.executable, *command[1:], f"--output_dir={folder}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        while running.poll() is None and not list(folder.glob("*/report.md")):
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=600) == -signal.SIGINT
    finally:
        running.kill()
    (place,) = folder.iterdir()
    return place
