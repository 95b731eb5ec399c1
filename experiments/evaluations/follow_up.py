"""Evaluations and measurements that a sweep runs on each finished cell."""

import abc
import dataclasses
import functools
import os
import shlex
from collections.abc import Callable
from typing import ClassVar, Self, TypeVar

from experiments.cli.values import Values
from experiments.evaluations import attack_options, measure_options, stored
from experiments.evaluations.attack_options import EvaluateOptions
from experiments.evaluations.measure_options import MeasureOptions
from experiments.runs.procedure import procedure_of
from robust_sparse_tf.errors import InputError

_SET_BY_SWEEP = ("model", "output")
# What flags were called, and are now.
_EVALUATE_BEFORE = {"--rounds": "--at_rounds", "--draws": "--passes"}
_MEASURE_BEFORE = {"--rounds": "--at_rounds", "--epsilon": "--r_inf_epsilon"}
_Options = TypeVar("_Options", EvaluateOptions, MeasureOptions)


@dataclasses.dataclass(frozen=True)
class FollowUp(abc.ABC):
    """A command of `experiments` and its options, except for the run that it looks at.

    Attributes:
        text: the flags as given, such as "--attacks=standard --epsilons=0.1".
        options: the same, parsed.
    """

    command: ClassVar[str]
    """The command's name."""
    text: str
    options: EvaluateOptions | MeasureOptions

    @abc.abstractmethod
    def files(self, run: str) -> list[str]:
        """The files that it makes for a run, one a network, whether they are there or not.

        Args:
            run: its directory.
        """

    @abc.abstractmethod
    def targets(self, run: str) -> list[str]:
        """The networks of which `files` are, in the same order."""

    def is_done(self, run: str) -> bool:
        """Whether all files are there, of the networks that are there now.

        Args:
            run: its directory.
        """
        found = self.files(run)
        return bool(found) and all(map(self.is_of, found, self.targets(run)))

    def is_of(self, path: str, target: str) -> bool:
        """Whether a file of `files` is there, and is of the network that is there now."""
        return stored.is_of(path, target, self.source)

    def is_current(self, path: str, known: str, target: str) -> bool:
        """The same of a file that was read; see `stored.is_current`."""
        return stored.is_current(path, known, target, self.source)

    @property
    def source(self) -> str | None:
        """A further model of which its files are."""
        return None

    def of_cell(self, values: Values) -> Self | None:
        """The same with the rounds that a cell has; None where it has none of those asked for.

        Args:
            values: the cell's flags.
        """
        count = procedure_of(values).rounds(values)
        rounds = [word for word in self.options.at_rounds if int(word) < count]
        if self.options.at_rounds and not rounds:
            return None
        options = dataclasses.replace(self.options, at_rounds=rounds)
        return dataclasses.replace(self, options=options)

    def argv(self, run: str, data_dir: str | None) -> list[str]:
        """The command line for a run, beginning with the command's name."""
        words = [self.command, f"--model={run}"]
        if data_dir:
            words.append(f"--data_dir={data_dir}")
        words += shlex.split(self.text)
        if self.options.at_rounds:
            words.append(f"--at_rounds={','.join(self.options.at_rounds)}")
        return words


@dataclasses.dataclass(frozen=True)
class Evaluation(FollowUp):
    """Attacks on the last network of a run, or on those of some rounds."""

    command = "evaluate"
    options: EvaluateOptions

    def targets(self, run: str) -> list[str]:
        return attack_options.targets(run, self.options)

    @property
    def source(self) -> str | None:
        return self.options.source

    def files(self, run: str) -> list[str]:
        folders = [attack_options.folder(each, self.options) for each in self.targets(run)]
        return [os.path.join(folder, "report.json") for folder in folders]


@dataclasses.dataclass(frozen=True)
class Measurement(FollowUp):
    """Measures of the networks of a run's rounds."""

    command = "measure"
    options: MeasureOptions

    def targets(self, run: str) -> list[str]:
        return [os.path.dirname(path) for path in self.files(run)]

    def files(self, run: str) -> list[str]:
        return measure_options.paths(run, self.options)


@functools.cache
def evaluation(text: str) -> Evaluation:
    """An evaluation, from flags such as "--attacks=standard --epsilons=0.1".

    Raises:
        InputError: for what `experiments.evaluate` would refuse, and for a model or an output.
    """
    options = _parse("evaluate", text, attack_options.parse)
    attack_options.attacks_of(options)
    return Evaluation(text, options)


@functools.cache
def measurement(text: str) -> Measurement:
    """A measurement, from flags such as "--measures=clever --at_rounds=0,8".

    Raises:
        InputError: for what `experiments.measure` would refuse, and for a model.
    """
    return Measurement(text, _parse("measure", text, measure_options.parse))


def stored_evaluation(text: str) -> Evaluation:
    """An evaluation that a sweep stored, whose flags may have the names of before."""
    parsed = evaluation(_renamed(text, _EVALUATE_BEFORE))
    return dataclasses.replace(parsed, text=text)


def stored_measurement(text: str) -> Measurement:
    """A measurement that a sweep stored, whose flags may have the names of before."""
    parsed = measurement(_renamed(text, _MEASURE_BEFORE))
    return dataclasses.replace(parsed, text=text)


def _renamed(text: str, names: dict[str, str]) -> str:
    words = [word.split("=", 1) for word in shlex.split(text)]
    return shlex.join(["=".join([names.get(name, name), *rest]) for name, *rest in words])


def _parse(command: str, text: str, options_of: Callable[[list[str]], _Options]) -> _Options:
    try:
        options = options_of([command, *shlex.split(text)])
    except ValueError as error:
        raise InputError(f"{command}={text}: cannot be read ({error})") from error
    for name in _SET_BY_SWEEP:
        if getattr(options, name, ""):
            raise InputError(f"{command}={text}: must not say --{name}, which is the cell's")
    return options
