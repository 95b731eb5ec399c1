"""Runs a grid of runs, each on a core, and reports on them."""

import contextlib
import hashlib
import json
import os
import shlex
import sys
import time
import warnings

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    from experiments import (
        chain,
        command,
        engine,
        evaluate,
        flags,
        follow_up,
        measure,
        measures,
        report,
        robustness,
        studies,
    )
    from experiments.directory import finished, run_name, write_json
    from experiments.grid import as_flag, cells
    from experiments.sweep_progress import SweepProgress
    from experiments.training_run import TrainingRun
    from robust_sparse_tf.errors import InputError, RunWarning

_REPEATED = {
    "grid": "flags that vary, with their values: method=set,rigl,density=0.5,0.1,seed=0,1",
    "evaluate": "attacks on each finished cell, as flags of experiments.evaluate",
    "measure": "measures of each finished cell's rounds, as flags of experiments.measure",
    "study": "the study that the report compares with",
    "ray_address": "HOST:PORT of a Ray cluster whose nodes see the same files",
}
# What a core of its own makes best, with Ray and without it; part of the cells' names and bits.
_ONE_CORE = {"branches": 1, "intra_op_threads": 1}
# Where files lie, and who computes, is no part of what is computed.
_PLACES = ("--output_dir=", "--data_dir=", "--ray_address=")
# So many times as long as a report took it stays as it is: the figures of many cells take half a
# minute, in which no other cell is begun.
_REPORT_STAYS = 20
USAGE = """python -m experiments.sweep --grid=FLAG=VALUE,VALUE,... [--grid=...]
    [--evaluate="FLAGS OF evaluate" ...] [--study=NAME] [--ray_address=HOST:PORT] [FLAGS OF run]

Each grid is the product of its axes. Finished cells are not run again; the report follows them, by
a twentieth of the time at most, and is whole at the end. With --evaluate they are attacked, too, as
by experiments.evaluate, and the report says what stands. With --study it has that study's tables
and figures, ours beside the published. The sweep's directory, under --output_dir, is the last line
printed.

With --measure="FLAGS OF measure" the networks of all rounds of finished cells are measured, as by
experiments.measure, for the reports of studies.

By Ray (pip install '.[sweep]') as many cells are run at a time as there are cores, each with one
thread (--branches=1 --intra_op_threads=1 where no others are given): on this machine, or on a
cluster whose nodes see the same files, from one of them, with --ray_address. Without Ray they are
run one after the other, to the same bits. What a cell prints goes to logs/CELL.log in the sweep's
directory. A cell that fails is tried again once; then the others go on without it."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, 1 where a cell failed; see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    return command.exit_code(lambda: _sweep(argv), "interrupted; the same command goes on")


def _sweep(argv: list[str]) -> int:
    sweep = Sweep(argv)
    failed = sweep.run()
    for name, why in failed.items():
        print(f"error: cell {name} failed: {why} ({sweep.log(name)})", file=sys.stderr)
    if len(failed) < len(sweep.cells):
        print(report.write(sweep.folder))
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
        self._measurements = base.pop("measure")
        self._address = (base.pop("ray_address") or [None])[-1]
        self._study = (base.pop("study") or [""])[-1]
        if self._study not in ("", *studies.BY_NAME):
            allowed = ", ".join(studies.BY_NAME)
            raise InputError(f"study={self._study}: must be one of {allowed}")
        base |= {name: value for name, value in _ONE_CORE.items() if not base[name]}
        if not grids:
            raise InputError("grid: must be given, as in --grid=method=set,rigl,density=0.5,0.1")
        self.cells = cells(flags.given(base), grids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RunWarning)  # the cell says so itself
            for values in self.cells:
                TrainingRun(values)
        for text in self._evaluations:
            robustness.parse(text)
        for text in self._measurements:
            measures.parse(text)
        identity = json.dumps([flags.different(base), grids], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self.folder = os.path.join(base["output_dir"], f"sweep-{base['dataset']}-{digest}")
        words = [word for word in argv[1:] if not word.startswith(_PLACES)]
        self._command = shlex.join(["python", "-m", "experiments.sweep", *words])
        self._next_report = 0.0  # on the monotonic clock

    def run(self) -> dict[str, str]:
        """Runs all cells that are not finished.

        Returns:
            For each cell that failed, by its name, the last line that it printed.

        Raises:
            InputError: for a folder that cannot be written, or a cluster that cannot be reached.
        """
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            place = os.path.dirname(self.folder)
            raise InputError(f"output_dir={place}: cannot be written ({error.strerror})") from error
        details = {run_name(values): str(flags.different(values)) for values in self.cells}
        content = {
            "command": self._command,
            "cells": list(details),
            "evaluations": self._evaluations,
            "measurements": self._measurements,
            "study": self._study,
        }
        write_json(os.path.join(self.folder, "sweep.json"), content)
        todo = [
            self._cell(name, commands)
            for name, values in zip(details, self.cells, strict=True)
            if (commands := [*self._training(name, values), *self._follow_ups(name, values)])
        ]
        left = {cell.name for cell in todo}
        with SweepProgress(details, len(details) - len(todo)) as progress:

            def tell(cell: engine.Cell, event: engine.Event, why: str) -> None:
                progress.show(cell, event, why)
                if event in (engine.Event.DONE, engine.Event.FAILED):
                    left.remove(cell.name)
                    if left:  # after the last the whole report is written anyway
                        self._report()

            return engine.run(todo, tell, self._address)

    def log(self, name: str) -> str:
        """The file that gets what a cell prints."""
        return os.path.join(self.folder, "logs", f"{name}.log")

    def _report(self) -> None:
        """Reports on what is there, where it is time to.

        An error costs no cell; it is raised when all have ended.
        """
        begin = time.monotonic()
        if begin < self._next_report:
            return
        with contextlib.suppress(Exception):
            report.write(self.folder)
        end = time.monotonic()
        self._next_report = end + _REPORT_STAYS * (end - begin)

    def _cell(self, name: str, commands: list[list[str]]) -> engine.Cell:
        """A cell of what is left to do of it."""
        command = (sys.executable, "-m", "experiments.chain", *chain.join(commands))
        return engine.Cell(name, command, self.log(name))

    def _training(self, name: str, values: dict) -> list[list[str]]:
        """The command that trains a cell, if it is not finished."""
        if finished(self.folder, name) and not values["overwrite"]:
            return []
        given = flags.given(values | {"output_dir": self.folder})
        return [["run", *(as_flag(key, value) for key, value in given.items())]]

    def _follow_ups(self, name: str, values: dict) -> list[list[str]]:
        """The commands that attack and measure a cell, but for those whose files are there."""
        cell = os.path.join(self.folder, name)
        found = []
        for kind, text, parse, files_of in (
            *(("evaluate", text, robustness.parse, _reports) for text in self._evaluations),
            *(("measure", text, measures.parse, measure.paths) for text in self._measurements),
        ):
            options = follow_up.of_cell(parse(text), values)
            if options is None:
                continue
            files = files_of(cell, options)
            if not files or not all(map(os.path.exists, files)) or values["overwrite"]:
                where = [f"--model={cell}", f"--data_dir={values['data_dir']}"]
                rounds = [as_flag("rounds", options.rounds)] if options.rounds else []
                found.append([kind, *where, *shlex.split(text), *rounds])
        return found


def _reports(cell: str, options: evaluate.EvaluateOptions) -> list[str]:
    """The files of one evaluation of a cell."""
    return [os.path.join(place, "report.json") for place in robustness.places(cell, options)]


if __name__ == "__main__":
    command.leave(main(sys.argv))
