"""Flags made from the library's options, and the options made from the flags."""

import copy
import dataclasses
import functools
import json
from typing import Any

from experiments.cli import flags
from experiments.runs import procedure
from experiments.runs.overfitting import MODES
from robust_sparse_tf.attacks import BY_NAME as ATTACKS
from robust_sparse_tf.attacks import MIM, PGD, RFGSM, Ascent
from robust_sparse_tf.data import DataOptions
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import BY_NAME as MODELS
from robust_sparse_tf.options import check, default_of, option
from robust_sparse_tf.procedures import FeaturePruning, LotteryTicket
from robust_sparse_tf.sparsity import BY_NAME as METHODS
from robust_sparse_tf.sparsity import LayerRates, Method
from robust_sparse_tf.training import Mixed, OptimizerOptions
from robust_sparse_tf.training.devices import DISTRIBUTIONS

_ASCENTS = tuple(name for name, attack in ATTACKS.items() if issubclass(attack, Ascent))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What belongs to a run and to no part of the library."""

    model: str = option("lenet_300_100", "network", choices=tuple(MODELS))
    width: float = option(
        1.0, "multiplies the channels and hidden units of networks that have a width", above=0
    )
    attack: str = option("pgd", "attack in training", choices=("none", *_ASCENTS))
    eval_attacks: list = option(
        ["pgd"], "attacks in evaluation, separated by commas", choices=_ASCENTS
    )
    epsilon_std: float = option(
        0.0,
        "in training draw epsilon for each batch from |Norm(0, epsilon_std)|, at most 1, and steps "
        "in proportion (0: always epsilon)",
        unit="input units",
        minimum=0,
    )
    method: str = option(
        procedure.DEFAULT,
        "how the network becomes sparse; 'lottery' prunes between rounds (LotteryTicket, "
        "LayerRates), all others train once, for --iterations",
        choices=tuple(procedure.BY_NAME),
    )
    prune: str = option(
        "weights",
        "what goes after a round of the lottery: the smallest weights (LayerRates), or the least "
        "useful features of a classifier of two classes (FeaturePruning)",
        choices=tuple(procedure.PRUNERS),
    )
    overfitting: str = option(
        "warn",
        "what to do when training against one step (fgsm, rfgsm) learns that step alone: its PGD "
        "accuracy on training images, looked at in each evaluation, falls",
        choices=MODES,
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
    continue_from: str = option(
        "",
        "directory of a finished run to continue with more --rounds (of a method that trains once, "
        "more --iterations) and otherwise the same flags; the end is that of a run made as long at "
        "once",
        hashed=False,
    )
    overwrite: bool = option(False, "start again where a run exists", hashed=False)

    def __post_init__(self) -> None:
        check(self)


# The options that most attacks share are shown as PGD's.
_OF_ATTACKS: list[type] = [PGD, RFGSM, MIM, *(ATTACKS[name] for name in _ASCENTS)]
GROUPS: tuple[type, ...] = (
    RunOptions,
    DataOptions,
    *dict.fromkeys(_OF_ATTACKS),
    Mixed,
    OptimizerOptions,
    LayerRates,
    FeaturePruning,
    LotteryTicket,
)
# Images are in [0, 1] whatever the data set, and training has no targets.
_NOT_FLAGS = ("low", "high", "targeted")


def fields() -> list[dataclasses.Field]:
    """The fields that are flags: group by group, then those of the methods."""
    found: dict[str, dataclasses.Field] = {}
    for group in GROUPS:
        for field in dataclasses.fields(group):
            if field.name not in _NOT_FLAGS:
                found.setdefault(field.name, field)
    return [*found.values(), *_method_fields(set(found))]


def _method_fields(taken: set[str]) -> list[dataclasses.Field]:
    """The options of all methods; None, their default as flags, is the method's own default."""
    found: dict[str, dataclasses.Field] = {}
    for method in METHODS.values():
        for field in dataclasses.fields(method):
            if field.name not in taken and field.name not in found:
                found[field.name] = _optional(field)
    return list(found.values())


def _optional(field: dataclasses.Field) -> dataclasses.Field:
    same = copy.copy(field)
    same.default, same.default_factory = None, dataclasses.MISSING
    return same


def parse(argv: list[str], repeated: dict[str, str] | None = None) -> dict[str, Any]:
    """The value of each flag of a run.

    Args:
        argv: the command line, whose first word is the program's name.
        repeated: further flags that may be given several times, with their help; their values are
            lists of strings.

    Raises:
        InputError: for an unknown flag, a value of the wrong kind, or a missing flagfile.
    """
    return flags.parse(argv, fields(), repeated)


def make_method(values: dict[str, Any]) -> Method | None:
    """The method of the flag `method`; None where masks stay as they are in training.

    Raises:
        InputError: for options that the method does not have, or does not allow.
    """
    chosen = procedure.procedure_of(values)
    common = {field.name for group in GROUPS for field in dataclasses.fields(group)}
    given = {
        field.name: values[field.name]
        for field in _method_fields(common)
        if values[field.name] is not None
    }
    for option_name in given:
        if option_name not in chosen.options:
            raise InputError(
                f"{option_name}={given[option_name]}: is no option of method={chosen.name}"
                + (f", which has {', '.join(chosen.options)}" if chosen.options else "")
            )
    return chosen.method(values["seed"], given)


def different(values: dict[str, Any]) -> dict[str, Any]:
    """The flags that make a run what it is: those that differ from their defaults."""
    return {
        field.name: values[field.name]
        for field in fields()
        if field.metadata["hashed"] and values[field.name] != default_of(field)
    }


def value_of(kept: dict[str, Any], name: str) -> Any:
    """The value of a flag where those that differ from their defaults are kept."""
    return kept[name] if name in kept else _defaults()[name]


@functools.cache
def _defaults() -> dict[str, Any]:
    return {field.name: default_of(field) for field in fields()}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The flags whose values are not their defaults, those of places among them."""
    return {
        field.name: values[field.name]
        for field in fields()
        if values[field.name] != default_of(field)
    }


def method_options() -> set[str]:
    """Names of the flags that are options of methods alone."""
    common = {field.name for group in GROUPS for field in dataclasses.fields(group)}
    return {field.name for field in _method_fields(common)}


def help_text() -> str:
    """Every flag with its meaning, unit, default and allowed values."""
    lines = ["python -m experiments.run [--flagfile=FILE] [--FLAG=VALUE ...]", ""]
    described: set[str] = set()
    for group in GROUPS:
        known = {*_NOT_FLAGS, *described}
        own = [field for field in dataclasses.fields(group) if field.name not in known]
        if not own:
            continue
        lines.append(f"{group.__name__}: {(group.__doc__ or '').strip().splitlines()[0]}")
        for field in own:
            lines += flags.describe(field)
            described.add(field.name)
        lines.append("")
    lines.append("Methods: of those that have them")
    for field in _method_fields(described):
        lines += flags.describe(field, _method_defaults(field.name))
    return "\n".join(lines)


def _method_defaults(name: str) -> str:
    """The default of an option in each method that has it."""
    by_default: dict[str, list[str]] = {}
    for method, cls in METHODS.items():
        for field in dataclasses.fields(cls):
            if field.name == name:
                by_default.setdefault(json.dumps(default_of(field)), []).append(method)
    return ", ".join(f"{value} ({' '.join(own)})" for value, own in by_default.items())
