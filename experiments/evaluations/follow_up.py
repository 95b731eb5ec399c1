"""Evaluations and measurements that a sweep runs on each finished cell."""

import abc
import dataclasses
import functools
import itertools
import os
import shlex
from collections.abc import Callable, Sequence
from typing import ClassVar, Self, TypeVar

from experiments.cli.values import Values
from experiments.evaluations import attack_options, measure_options, stored
from experiments.evaluations.attack_options import EvaluateOptions
from experiments.evaluations.measure_options import MeasureOptions
from experiments.runs import options as run_options
from experiments.runs.procedure import procedure_of
from robust_sparse_tf.errors import InputError

_SET_BY_SWEEP = ("model", "output")
# Old and new names of flags.
_EVALUATE_BEFORE = {"--rounds": "--at_rounds", "--draws": "--passes"}
_MEASURE_BEFORE = {"--rounds": "--at_rounds", "--epsilon": "--r_inf_epsilon"}
_Options = TypeVar("_Options", EvaluateOptions, MeasureOptions)


@dataclasses.dataclass(frozen=True)
class FollowUp(abc.ABC):
    """A command of `experiments` with its options, without the run that it is applied to.

    Attributes:
        text: the given flags, such as "--attacks=standard --epsilons=0.1".
        options: the parsed flags.
        only: the values of flags that cells must have, by flag; {} for all cells.
    """

    command: ClassVar[str]
    """The command's name."""
    text: str
    options: EvaluateOptions | MeasureOptions
    only: Values = dataclasses.field(default_factory=dict, kw_only=True)

    @abc.abstractmethod
    def files(self, run: str) -> list[str]:
        """The files that it makes for a run, one per network, whether they exist or not.

        Args:
            run: directory of the run.
        """

    @abc.abstractmethod
    def targets(self, run: str) -> list[str]:
        """The networks of `files`, in the same order."""

    def is_done(self, run: str) -> bool:
        """Whether all files exist and belong to the current networks.

        Args:
            run: directory of the run.
        """
        found = self.files(run)
        return bool(found) and all(map(self.is_of, found, self.targets(run)))

    def is_of(self, path: str, target: str) -> bool:
        """Whether a file of `files` exists and belongs to the current network."""
        return stored.is_of(path, target, *self.sources)

    def is_current(self, path: str, known: str, target: str) -> bool:
        """The same for a file that was read; see `stored.is_current`."""
        return stored.is_current(path, known, target, *self.sources)

    @property
    def sources(self) -> Sequence[str]:
        """Further models that its files depend on."""
        return ()

    def of_cell(self, values: Values) -> Self | None:
        """The same, limited to the rounds that a cell has; None if it is not for the cell.

        Args:
            values: the cell's flags.
        """
        if any(values[name] != own for name, own in self.only.items()):
            return None
        count = procedure_of(values).rounds(values)
        rounds = [word for word in self.options.at_rounds if int(word) < count]
        if self.options.at_rounds and not rounds:
            return None
        options = dataclasses.replace(self.options, at_rounds=rounds)
        return dataclasses.replace(self, options=options)

    def argv(self, run: str, data_dir: str | None) -> list[str]:
        """The command line for a run; it begins with the command's name."""
        words = [self.command, f"--model={run}"]
        if data_dir:
            words.append(f"--data_dir={data_dir}")
        words += _split(self.text)[1]
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
    def sources(self) -> Sequence[str]:
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
    """Parses an evaluation from flags such as "--attacks=standard --epsilons=0.1".

    Words before them, such as "noise=channel", are values of flags that cells must have.

    Raises:
        InputError: for flags that `experiments.evaluate` refuses, or that set a model or output.
    """
    options = _parse("evaluate", text, attack_options.parse)
    attack_options.attacks_of(options)
    return Evaluation(text, options, only=_only("evaluate", text))


@functools.cache
def measurement(text: str) -> Measurement:
    """Parses a measurement from flags such as "--measures=clever --at_rounds=0,8".

    Raises:
        InputError: for flags that `experiments.measure` refuses, or that set a model.
    """
    options = _parse("measure", text, measure_options.parse)
    return Measurement(text, options, only=_only("measure", text))


def stored_evaluation(text: str) -> Evaluation:
    """A stored evaluation of a sweep, whose flags may have old names."""
    parsed = evaluation(_renamed(text, _EVALUATE_BEFORE))
    return dataclasses.replace(parsed, text=text)


def stored_measurement(text: str) -> Measurement:
    """A stored measurement of a sweep, whose flags may have old names."""
    parsed = measurement(_renamed(text, _MEASURE_BEFORE))
    return dataclasses.replace(parsed, text=text)


def _renamed(text: str, names: dict[str, str]) -> str:
    words = [word.split("=", 1) for word in shlex.split(text)]
    return shlex.join(["=".join([names.get(name, name), *rest]) for name, *rest in words])


def _split(text: str) -> tuple[list[str], list[str]]:
    """The words that limit cells, such as "noise=channel", and the flags after them."""
    words = shlex.split(text)
    first = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    return first, words[len(first) :]


def _only(command: str, text: str) -> Values:
    """The values of flags that cells must have, by flag.

    Raises:
        InputError: for an unknown flag, or a value that it does not allow.
    """
    words = _split(text)[0]
    names = [word.partition("=")[0] for word in words]
    for name, word in zip(names, words, strict=True):
        if "=" not in word or name not in run_options.kinds():
            raise InputError(
                f"{command}={text}: {word} must be a flag of cells, as in noise=channel"
            )
    values = run_options.parse(["cell", *(f"--{word}" for word in words)])
    return {name: values[name] for name in names}


def _parse(command: str, text: str, options_of: Callable[[list[str]], _Options]) -> _Options:
    try:
        options = options_of([command, *_split(text)[1]])
    except ValueError as error:
        raise InputError(f"{command}={text}: cannot be read ({error})") from error
    for name in _SET_BY_SWEEP:
        if getattr(options, name, ""):
            raise InputError(f"{command}={text}: must not set --{name}, which each cell sets")
    return options
