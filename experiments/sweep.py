"""Runs a grid of runs, one after the other, and reports on them."""

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
import warnings

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    from experiments import command, flags, report, robustness
    from experiments.directory import run_name, write_json
    from experiments.grid import as_flag, cells
    from experiments.training_run import TrainingRun
    from robust_sparse_tf.errors import InputError, RunWarning

_REPEATED = {
    "grid": "flags that vary, with their values: method=set,rigl,density=0.5,0.1,seed=0,1",
    "evaluate": "attacks on each finished cell, as flags of experiments.evaluate",
}
USAGE = """python -m experiments.sweep --grid=FLAG=VALUE,VALUE,... [--grid=...]
    [--evaluate="FLAGS OF evaluate" ...] [FLAGS OF run]

Each grid is the product of its axes. Finished cells are not run again; the report is written after
each cell. With --evaluate they are attacked, too, as by experiments.evaluate, and the report says
what stands. The sweep's directory, under --output_dir, is the last line printed."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, 1 where a cell failed; see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    return command.exit_code(lambda: _sweep(argv), "interrupted; the same command goes on")


def _sweep(argv: list[str]) -> int:
    sweep = Sweep(argv)
    failed = sweep.run()
    if len(failed) < len(sweep.cells):
        print(report.write(sweep.folder))
    for name in failed:
        print(f"error: cell {name} failed; what it said is above", file=sys.stderr)
    print(sweep.folder)
    return 1 if failed else 0


class Sweep:
    """The cells of a command line, and the directory that holds them.

    Raises:
        InputError: for wrong flags, those of any cell among them, or no grid.
    """

    def __init__(self, argv: list[str]) -> None:
        base = flags.parse(argv, repeated=_REPEATED)
        grids, self._evaluations = base.pop("grid"), base.pop("evaluate")
        if not grids:
            raise InputError("grid: must be given, as in --grid=method=set,rigl,density=0.5,0.1")
        self.cells = cells(flags.given(base), grids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RunWarning)  # the cell says so itself
            for values in self.cells:
                TrainingRun(values)
        for text in self._evaluations:
            robustness.parse(text)
        identity = json.dumps([flags.different(base), grids], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self.folder = os.path.join(base["output_dir"], f"sweep-{base['dataset']}-{digest}")
        # Where files lie is no part of what made them.
        words = [w for w in argv[1:] if not w.startswith(("--output_dir=", "--data_dir="))]
        self._command = shlex.join(["python", "-m", "experiments.sweep", *words])

    def run(self) -> list[str]:
        """Runs all cells that are not finished; returns the names of those that failed."""
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            place = os.path.dirname(self.folder)
            raise InputError(f"output_dir={place}: cannot be written ({error.strerror})") from error
        names = [run_name(values) for values in self.cells]
        content = {"command": self._command, "cells": names, "evaluations": self._evaluations}
        write_json(os.path.join(self.folder, "sweep.json"), content)
        failed = []
        for number, (name, values) in enumerate(zip(names, self.cells, strict=True), 1):
            commands = [*self._training(name, values), *self._attacks(name, values)]
            if not commands:
                continue
            print(f"cell {number}/{len(names)} {name} {flags.different(values)}", flush=True)
            if not all(map(self._succeeds, commands)):
                failed.append(name)
        return failed

    def _succeeds(self, words: list[str]) -> bool:
        """Runs a command, and reports on what is there after it."""
        code = subprocess.run(words, check=False).returncode
        with contextlib.suppress(InputError):  # nothing is finished yet
            report.write(self.folder)
        return code == 0

    def _training(self, name: str, values: dict) -> list[list[str]]:
        """The command that trains a cell, if it is not finished."""
        finished = os.path.exists(os.path.join(self.folder, name, "results.json"))
        if finished and not values["overwrite"]:
            return []
        given = flags.given(values | {"output_dir": self.folder})
        return [_command("run", [as_flag(key, value) for key, value in given.items()])]

    def _attacks(self, name: str, values: dict) -> list[list[str]]:
        """The commands that attack a cell, but for those whose reports are there."""
        cell = os.path.join(self.folder, name)
        found = []
        for text in self._evaluations:
            done = os.path.exists(os.path.join(robustness.place(cell, text), "report.json"))
            if not done or values["overwrite"]:
                where = [f"--model={cell}", f"--data_dir={values['data_dir']}"]
                found.append(_command("evaluate", [*where, *shlex.split(text)]))
        return found


def _command(name: str, words: list[str]) -> list[str]:
    return [sys.executable, "-m", f"experiments.{name}", *words]


if __name__ == "__main__":
    command.leave(main(sys.argv))
