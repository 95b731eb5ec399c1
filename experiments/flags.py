"""Flags made from the library's options, and the options made from the flags."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from absl import flags

from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.data import DataOptions
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import BY_NAME as MODELS
from robust_sparse_tf.options import allowed, check, default_of, option
from robust_sparse_tf.procedures import LotteryTicket
from robust_sparse_tf.sparsity import LayerRates
from robust_sparse_tf.training import Mixed, OptimizerOptions
from robust_sparse_tf.training.devices import DISTRIBUTIONS


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What belongs to a run and to no part of the library."""

    model: str = option("lenet_300_100", "network", choices=tuple(MODELS))
    attack: str = option("pgd", "attack in training", choices=("none", "fgsm", "pgd"))
    eval_attacks: list = option(
        ["pgd"], "attacks in evaluation, separated by commas", choices=("fgsm", "pgd")
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    jit_compile: str = option(
        "auto",
        "XLA for the whole train step; auto: never, as half batches side by side are faster",
        choices=("auto", "on", "off"),
    )
    steps_per_execution: int = option(
        0, "train steps a call of the graph (0: 50)", unit="steps", minimum=0
    )
    branches: int = option(
        0, "parts of a batch computed side by side (0: 2 on a CPU of 2 cores or more)", minimum=0
    )
    intra_op_threads: int = option(
        0, "threads of one operation (0: cores divided by branches)", minimum=0
    )
    distribute: str = option("none", "devices to train on", choices=DISTRIBUTIONS)
    logical_cpus: int = option(1, "CPU devices to pretend, for tests", minimum=1)
    output_dir: str = option("runs", "folder of all runs", hashed=False)
    overwrite: bool = option(False, "start again where a run exists", hashed=False)

    def __post_init__(self) -> None:
        check(self)


GROUPS = (RunOptions, DataOptions, PGD, Mixed, OptimizerOptions, LayerRates, LotteryTicket)
# Images are in [0, 1] whatever the data set.
_NOT_FLAGS = ("clip_min", "clip_max")


def fields() -> list[dataclasses.Field]:
    """The fields that are flags, group by group."""
    return [
        field
        for group in GROUPS
        for field in dataclasses.fields(group)
        if field.name not in _NOT_FLAGS
    ]


def parse(argv: list[str]) -> dict[str, Any]:
    """The value of each flag, from a command line whose first word is the program's name.

    Raises:
        InputError: for an unknown flag, a value of the wrong kind, or a missing flagfile.
    """
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "file of flags, one a line", flag_values=values)
    for field in fields():
        _define(field, values)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        message = " ".join(str(error).split()).removeprefix("ERROR:: ")
        raise InputError(f"{message}; --help lists all flags") from error
    if rest:
        raise InputError(f"{rest[0]}: is not a flag; flags start with --")
    return {field.name: getattr(values, field.name) for field in fields()}


def make(cls: type, values: dict[str, Any]) -> Any:
    """An options object of a class from the values of the flags."""
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in names})


def different(values: dict[str, Any]) -> dict[str, Any]:
    """The flags that make a run what it is: those that differ from their defaults."""
    return {
        field.name: values[field.name]
        for field in fields()
        if field.metadata["hashed"] and values[field.name] != default_of(field)
    }


def help_text() -> str:
    """Every flag with its meaning, unit, default and allowed values."""
    lines = ["python -m experiments.run [--flagfile=FILE] [--FLAG=VALUE ...]", ""]
    for group in GROUPS:
        lines.append(f"{group.__name__}: {group.__doc__.strip().splitlines()[0]}")
        for field in dataclasses.fields(group):
            if field.name not in _NOT_FLAGS:
                lines += _describe(field)
        lines.append("")
    return "\n".join(lines)


def _describe(field: dataclasses.Field) -> Iterable[str]:
    default, unit = default_of(field), field.metadata["unit"]
    shown = ",".join(default) if isinstance(default, list) else json.dumps(default)
    detail = f"default: {shown}" + (f" {unit}" if unit else "")
    rule = allowed(field)
    yield f"  --{field.name}: {field.metadata['help']}"
    yield f"      ({detail}{'' if rule == 'any value' else '; ' + rule})"


def _define(field: dataclasses.Field, values: flags.FlagValues) -> None:
    default = default_of(field)
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        list: flags.DEFINE_list,
    }[type(default)]
    define(field.name, default, field.metadata["help"], flag_values=values)
