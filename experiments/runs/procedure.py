"""The procedures of the flag --method: lottery tickets, or one training with a method."""

import abc
import dataclasses
import functools
from collections.abc import Callable

from experiments.cli.values import Values
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import make
from robust_sparse_tf.procedures import (
    FeaturePruning,
    LotteryTicket,
    PhaseOptions,
    Phases,
    Record,
    Rounds,
)
from robust_sparse_tf.sparsity import BY_NAME as METHODS
from robust_sparse_tf.sparsity import LayerRates, Method

PRUNERS = {"weights": LayerRates, "features": FeaturePruning}


class Procedure(abc.ABC):
    """A value of --method."""

    name: str
    """The value of --method."""
    options: tuple[str, ...] = ()
    """Names of the flags that are options of its method."""
    longer: str
    """The flag that makes a run longer without changing its beginning."""

    @abc.abstractmethod
    def kind(self, values: Values) -> str:
        """The part of a run's name for the procedure."""

    @abc.abstractmethod
    def rounds(self, values: Values) -> int:
        """The number of rounds of a run with given flags."""

    @abc.abstractmethod
    def method(self, seed: int, given: Values) -> Method | None:
        """The method that changes masks in training, for given options; None for none."""

    @abc.abstractmethod
    def schedule(self, values: Values) -> Rounds:
        """The trainings of a run with given flags.

        Raises:
            InputError: for invalid values.
        """

    @abc.abstractmethod
    def run(self, values: Values) -> Callable[..., list[Record]]:
        """The training function, with the arguments of `Rounds.run`; see `schedule` for errors."""


class _Lottery(Procedure):
    name, longer = "lottery", "rounds"
    options = ("dense_first", "dense_last")

    def kind(self, values: Values) -> str:
        return values["strategy"]

    def rounds(self, values: Values) -> int:
        return values["rounds"]

    def method(self, seed: int, given: Values) -> Method | None:
        del seed, given
        return None

    def schedule(self, values: Values) -> LotteryTicket:
        return make(LotteryTicket, values)

    def run(self, values: Values) -> Callable[..., list[Record]]:
        pruner = _pruners(values)[values["prune"]]
        return functools.partial(self.schedule(values).run, pruner=pruner, seed=values["seed"])


class _TrainOnce(Procedure):
    longer = "iterations"

    def __init__(self, name: str, method: type[Method]) -> None:
        self.name, self._method = name, method
        self.options = tuple(field.name for field in dataclasses.fields(method))

    def kind(self, values: Values) -> str:
        del values
        return self.name

    def rounds(self, values: Values) -> int:
        return self.schedule(values).rounds

    def method(self, seed: int, given: Values) -> Method | None:
        return self._method(seed=seed, **given)

    def schedule(self, values: Values) -> Rounds:
        make(LotteryTicket, values)  # flags without effect are checked, too
        once = values | dict(rounds=1, dense_iterations=None)
        options = make(PhaseOptions, values)
        if options == PhaseOptions():
            return make(Rounds, once)
        return make(Phases, once | dict(options=options))

    def run(self, values: Values) -> Callable[..., list[Record]]:
        _pruners(values)
        return self.schedule(values).run


BY_NAME: dict[str, Procedure] = {
    "lottery": _Lottery(),
    **{name: _TrainOnce(name, method) for name, method in METHODS.items()},
}
DEFAULT = "lottery"


def procedure_of(values: Values) -> Procedure:
    """The procedure of a run's flags; flags at their defaults may be missing.

    Raises:
        InputError: for an unknown name.
    """
    name = values.get("method", DEFAULT)
    if name not in BY_NAME:
        raise InputError(f"method={name}: must be one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def kind_of(values: Values) -> str:
    """The part of a run's name for the procedure; unknown names are kept."""
    name = values["method"]
    return BY_NAME[name].kind(values) if name in BY_NAME else name


def _pruners(values: Values) -> dict[str, LayerRates | FeaturePruning]:
    """All pruners of rounds, so that the flags of each are checked."""
    given = {name: value for name, value in values.items() if value is not None}
    return {name: make(pruner, given) for name, pruner in PRUNERS.items()}
