"""Sweeps that end when they have reported on their first cell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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
