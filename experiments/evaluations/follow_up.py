"""Evaluations and measurements that a sweep runs on each finished cell."""

import dataclasses
import functools
import os
import shlex
from typing import Any

from experiments.evaluations import attack_options, measure_options
from experiments.evaluations.attack_options import EvaluateOptions
from experiments.evaluations.measure_options import MeasureOptions
from experiments.runs.procedure import procedure_of
from robust_sparse_tf.errors import InputError

_SET_BY_SWEEP = ("model", "output")


@dataclasses.dataclass(frozen=True)
class FollowUp:
    """A command of `experiments` and its options, but for the cell that it is run on.

    Attributes:
        command: "evaluate" or "measure".
        text: the flags as given, such as "--attacks=standard --epsilons=0.1".
        options: the same, parsed.
    """

    command: str
    text: str
    options: EvaluateOptions | MeasureOptions

    def of_cell(self, values: dict[str, Any]) -> "FollowUp | None":
        """The same with the rounds that a cell has; None where it has none of those asked for.

        Args:
            values: the cell's flags.
        """
        count = procedure_of(values).rounds(values)
        rounds = [word for word in self.options.rounds if int(word) < count]
        if self.options.rounds and not rounds:
            return None
        return dataclasses.replace(self, options=dataclasses.replace(self.options, rounds=rounds))

    def files(self, cell: str) -> list[str]:
        """The files that it makes for a cell, one a network, whether they are there or not.

        Args:
            cell: the directory of the cell.
        """
        if isinstance(self.options, MeasureOptions):
            return measure_options.paths(cell, self.options)
        folders = [
            attack_options.folder(target, self.options)
            for target in attack_options.targets(cell, self.options)
        ]
        return [os.path.join(folder, "report.json") for folder in folders]

    def argv(self, cell: str, data_dir: str) -> list[str]:
        """The command line for a cell, beginning with the command's name."""
        rounds = [f"--rounds={','.join(self.options.rounds)}"] if self.options.rounds else []
        where = [f"--model={cell}", f"--data_dir={data_dir}"]
        return [self.command, *where, *shlex.split(self.text), *rounds]


@functools.cache
def evaluation(text: str) -> FollowUp:
    """An evaluation, from flags such as "--attacks=standard --epsilons=0.1".

    Raises:
        InputError: for what `experiments.evaluate` would refuse, and for a model or an output.
    """
    options = _parse("evaluate", text, attack_options.parse)
    attack_options.attacks_of(options)
    return FollowUp("evaluate", text, options)


@functools.cache
def measurement(text: str) -> FollowUp:
    """A measurement, from flags such as "--measures=clever --rounds=0,8".

    Raises:
        InputError: for what `experiments.measure` would refuse, and for a model.
    """
    return FollowUp("measure", text, _parse("measure", text, measure_options.parse))


def _parse(command: str, text: str, options_of: Any) -> Any:
    try:
        options = options_of([command, *shlex.split(text)])
    except ValueError as error:
        raise InputError(f"{command}={text}: cannot be read ({error})") from error
    for name in _SET_BY_SWEEP:
        if getattr(options, name, ""):
            raise InputError(f"{command}={text}: must not say --{name}, which is the cell's")
    return options
