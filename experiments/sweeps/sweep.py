"""The cells of a sweep, their remaining work, and their directory."""

import contextlib
import dataclasses
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any

from experiments.cli.command import REFUSED
from experiments.cli.digest import digest
from experiments.cli.flags import as_flag
from experiments.cli.values import Values
from experiments.evaluations import follow_up
from experiments.runs import attack_flags, naming
from experiments.runs import options as flags
from experiments.runs.directory import data_name, finished, run_name
from experiments.runs.old_flags import identity
from experiments.runs.training_run import TrainingRun
from experiments.runs.unused import reasons
from experiments.sweeps import chaining, directory, scheduler
from experiments.sweeps.grid import cells
from experiments.sweeps.progress import SweepProgress
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import is_count
from robust_sparse_tf.procedures import LotteryTicket

_REPEATED = {
    "grid": "flags that vary, with their values: method=set,rigl,density=0.5,0.1,seed=0,1",
    "evaluate": "attack each finished cell, with these flags of experiments.evaluate",
    "measure": "measure the rounds of each finished cell, with these flags of experiments.measure",
    "study": "study whose tables and figures the report has",
    "cell_limit": "seconds after which a cell is stopped, in case it hangs; 0: never",
    "ray_address": "HOST:PORT of a Ray cluster whose nodes see the same files",
}
# Best for one core per cell, with and without Ray; they affect the cells' names and bits.
_ONE_CORE = {"branches": 1, "intra_op_threads": 1}
# Folders and devices do not affect results.
_PLACES = ("--output_dir=", "--data_dir=", "--ray_address=", "--cell_limit=")
# Flags that do not affect data and network before training.
_UNSEEN = (
    *("seed", "output_dir", "overwrite", "eval_attacks", "overfitting", "branches"),
    *(field.name for field in dataclasses.fields(LotteryTicket) if field.name != "seed"),
    *(field.name for group in attack_flags.GROUPS for field in attack_flags.fields(group)),
)
# After a report, wait this multiple of its duration: the figures of many cells take half a minute,
# in which no other cell is started.
_REPORT_STAYS = 20


class Sweep:
    """The cells of a command line, and their directory.

    Args:
        argv: the command line, which begins with the program's name.
        studies: allowed values of the flag `study`.
        on_change: called with the sweep's directory as cells end, to update the report.

    Raises:
        InputError: for wrong flags, including those of any cell, or without a grid.
    """

    def __init__(
        self, argv: list[str], studies: Collection[str], on_change: Callable[[str], Any]
    ) -> None:
        base = flags.parse(argv, repeated=_REPEATED)
        grids = base.pop("grid")
        self._evaluations = [follow_up.evaluation(text) for text in base.pop("evaluate")]
        self._measurements = [follow_up.measurement(text) for text in base.pop("measure")]
        self._address = (base.pop("ray_address") or [None])[-1]
        self._limit = _seconds((base.pop("cell_limit") or ["0"])[-1])
        self._study = (base.pop("study") or [""])[-1]
        if self._study not in ("", *studies):
            allowed = ", ".join(studies)
            raise InputError(f"study={self._study}: must be one of {allowed}")
        base |= {name: value for name, value in _ONE_CORE.items() if not base[name]}
        if base["continue_from"]:
            raise InputError(f"continue_from={base['continue_from']}: must not be given to a sweep")
        if not grids:
            raise InputError("grid: must be given, as in --grid=method=set,rigl,density=0.5,0.1")
        self.cells = cells(flags.given(base), grids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RunWarning)  # the cells print it themselves
            for values in self.cells:
                TrainingRun(values)
        self._refuse_for_all()
        name = f"sweep-{data_name(base)}-{digest([identity(base), grids])}"
        self.folder = os.path.join(base["output_dir"], name)
        words = [word for word in argv[1:] if not word.startswith(_PLACES)]
        self._command = shlex.join(["python", "-m", "experiments.sweep", *words])
        self._on_change = on_change
        self._next_report = 0.0  # on the monotonic clock

    def _refuse_for_all(self) -> None:
        """Refuses flags that no cell supports."""
        if any(values["distribute"] == "multiworker" for values in self.cells):
            raise InputError(
                "distribute=multiworker: must not be given to a sweep, whose cells are one process "
                "each"
            )
        for each in (*self._evaluations, *self._measurements):
            if not any(each.of_cell(values) for values in self.cells):
                raise InputError(
                    f"{each.command}={each.text}: no cell has such rounds, or such flags"
                )

    def run(self) -> dict[str, str]:
        """Runs all cells that are not finished.

        Returns:
            The last line of output of each failed cell, by name.

        Raises:
            InputError: if the folder cannot be written, the cluster cannot be reached, or a cell
                would be refused.
        """
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            place = os.path.dirname(self.folder)
            raise InputError(f"output_dir={place}: cannot be written ({error.strerror})") from error
        names = [run_name(values) for values in self.cells]
        labels = dict(zip(names, naming.labels(self.cells), strict=True))
        contents = directory.Contents(
            command=self._command,
            cells=list(labels),
            evaluations=self._evaluations,
            measurements=self._measurements,
            study=self._study,
        )
        directory.write(self.folder, contents)
        todo, untrained = [], []
        for name, values in zip(labels, self.cells, strict=True):
            training = self._training(name, values)
            untrained += [values] if training else []
            if commands := [*training, *self._follow_ups(name, values)]:
                todo.append(self._job(name, commands))
        print(f"{len(labels)} cells, {len(labels) - len(todo)} finished before: {self.folder}")
        self._check(untrained)
        left = {job.name for job in todo}
        with SweepProgress(labels, len(labels) - len(todo)) as progress:

            def tell(job: scheduler.Job, event: scheduler.Event, why: str) -> None:
                progress.show(job, event, why)
                if event in (scheduler.Event.DONE, scheduler.Event.FAILED):
                    left.remove(job.name)
                    if left:  # after the last cell the report is written anyway
                        self._report()

            return scheduler.run(todo, tell, self._address)

    def _check(self, cells: Iterable[Values]) -> None:
        """Checks all cells before the first one runs; those that are checked alike, once.

        This runs in another process, as it needs TensorFlow.
        """
        found = checks(cells)
        if not found:
            return
        command = [sys.executable, "-m", "experiments.chain", *chaining.join(found)]
        code, said = scheduler.process.run(
            command, self.log("check"), environment=scheduler.environment(), folder=os.getcwd()
        )
        if code == REFUSED:
            raise InputError(said.removeprefix("error: "))

    def log(self, name: str) -> str:
        """The file for the output of a cell."""
        return os.path.join(self.folder, "logs", f"{name}.log")

    def _report(self) -> None:
        """Updates the report, if it is time.

        An error does not stop the cells; it is raised when all have ended.
        """
        begin = time.monotonic()
        if begin < self._next_report:
            return
        with contextlib.suppress(Exception):
            self._on_change(self.folder)
        end = time.monotonic()
        self._next_report = end + _REPORT_STAYS * (end - begin)

    def _job(self, name: str, commands: list[list[str]]) -> scheduler.Job:
        """The remaining commands of a cell."""
        command = (sys.executable, "-m", "experiments.chain", *chaining.join(commands))
        return scheduler.Job(name, command, self.log(name), self._limit)

    def _training(self, name: str, values: Values) -> list[list[str]]:
        """The command that trains a cell, if it is not finished."""
        with contextlib.suppress(InputError):  # damaged results are made again
            if finished(self.folder, name) and not values["overwrite"]:
                return []
        given = flags.given(values | {"output_dir": self.folder})
        return [["run", *(as_flag(key, value) for key, value in given.items())]]

    def _follow_ups(self, name: str, values: Values) -> list[list[str]]:
        """The commands that attack and measure a cell, except those whose files exist."""
        run = os.path.join(self.folder, name)
        commands = []
        for each in (*self._evaluations, *self._measurements):
            own = each.of_cell(values)
            if own is None:
                continue
            if values["overwrite"] or not own.is_done(run):
                commands.append(own.argv(run, values["data_dir"]))
        return commands


def _seconds(text: str) -> int:
    """The time limit of a cell."""
    if not is_count(text):
        raise InputError(f"cell_limit={text}: must be a whole number of seconds from 0")
    return int(text)


def checks(cells: Iterable[Values]) -> list[list[str]]:
    """The command lines of `chain` that check the data and networks of cells, without duplicates.

    Flags that do not affect these checks are left out, and flags that depend on them, too.
    """
    given = (flags.given(values).items() for values in cells)
    seen = ({name: as_flag(name, v) for name, v in own if name not in _UNSEEN} for own in given)
    alike = {tuple(own.values()): own for own in seen}
    found = []
    for words, own in alike.items():
        idle = reasons(flags.parse(["check", *words]))
        found.append(("check", *(word for name, word in own.items() if name not in idle)))
    return [list(words) for words in dict.fromkeys(found)]
