"""Flags from the library's options, and options from the flags."""

import dataclasses
import functools
from typing import Any

from experiments.cli import flags
from experiments.runs import attack_flags, procedure
from experiments.runs.choices import Choice
from experiments.runs.overfitting import MODES
from robust_sparse_tf.data import DataOptions
from robust_sparse_tf.export.device_profiles import PROFILES
from robust_sparse_tf.models import BY_NAME as MODELS
from robust_sparse_tf.options import check, default_of, kind, option
from robust_sparse_tf.procedures import FeaturePruning, LotteryTicket, PhaseOptions
from robust_sparse_tf.sparsity import BY_NAME as METHODS
from robust_sparse_tf.sparsity import LayerRates, Method
from robust_sparse_tf.training import Mixed, OptimizerOptions, StepOptions
from robust_sparse_tf.training.devices import DISTRIBUTIONS
from robust_sparse_tf.training.noise import KINDS as NOISES
from robust_sparse_tf.training.objectives import BY_NAME as OBJECTIVES
from robust_sparse_tf.training.objectives import Objective

_OWN_MODELS = {
    "MODULE:FUNCTION": r"[^\W\d][\w.]*:[^\W\d]\w*",
    "FILE.keras": r".+\.keras",
    "FILE.h5": r".+\.h5",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run that do not belong to the library."""

    model: str = option(
        "lenet_300_100",
        "network by name; or your own function (shape of an image, number of classes) -> tf_keras "
        "model; or a saved model, whose training continues",
        choices=tuple(MODELS),
        forms=_OWN_MODELS,
    )
    width: float = option(
        1.0, "width multiplier of channels and hidden units, for networks that have one", above=0
    )
    normalize: str = option(
        "none",
        "first layer of the network; dataset: subtract the data set's means and divide by its "
        "deviations, for networks by name",
        choices=("none", "dataset"),
    )
    attack: str = option("pgd", "attack in training", choices=("none", *attack_flags.NAMES))
    eval_attacks: list[str] = option(
        ["pgd"], "attacks in evaluation, separated by commas", choices=attack_flags.NAMES
    )
    epsilon_std: float = option(
        0.0,
        "draw epsilon per batch in training from |Norm(0, epsilon_std)|, at most 1, with steps in "
        "proportion (0: fixed epsilon)",
        unit="input units",
        minimum=0,
    )
    eval_epsilon_std: float = option(
        0.0,
        "the same in evaluation: draw epsilon per batch from |Norm(0, eval_epsilon_std)|, at most "
        "1 (0: fixed epsilon)",
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
        "what to prune after a round of the lottery: the smallest weights (LayerRates), or the "
        "least useful features of a binary classifier (FeaturePruning)",
        choices=tuple(procedure.PRUNERS),
    )
    objective: str = option(
        "mixed",
        "the loss in training; 'clean', 'ibp' and 'crown_ibp' do not run the attack",
        choices=tuple(OBJECTIVES),
    )
    device_profile: str | None = option(
        None,
        "device for which the network is pruned: sets --structure and other options of the method "
        "to what it computes fast, and prints why",
        kind=str,
        choices=tuple(PROFILES),
        shown="none",
        hashed=False,
    )
    noise: str = option(
        "none",
        "trainable noise on the weights of convolutions and dense layers: one factor per output "
        "channel, per layer or per weight",
        choices=("none", *NOISES),
    )
    noise_at_inference: bool = option(
        True, "whether there is noise in evaluations and attacks, too, with --noise"
    )
    overfitting: str = option(
        "warn",
        "what to do on catastrophic overfitting (training with fgsm or rfgsm that resists only "
        "this attack); checked with PGD on training images at every evaluation",
        choices=MODES,
    )
    early_stopping: str = option(
        "robust",
        "the validation loss whose minimum marks early stopping: robust, under the training "
        "attack, reported with test accuracies; or mixed with the clean loss by clean_weight, as "
        "in training, reported with validation accuracies",
        choices=("robust", "mixed"),
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    jit_compile: str = option(
        "auto",
        "XLA for the whole train step; auto: never, as half batches in parallel are faster",
        choices=("auto", "on", "off"),
    )
    steps_per_execution: int = option(
        50, "train steps per call of the graph", unit="steps", minimum=1
    )
    branches: int | None = option(
        None,
        "number of parts of a batch computed in parallel; of the attack alone for networks with "
        "batch normalization",
        minimum=1,
        kind=int,
        shown="2 on a CPU with 2 or more cores, otherwise 1",
    )
    intra_op_threads: int | None = option(
        None,
        "threads per operation",
        minimum=1,
        kind=int,
        shown="cores divided by branches, or all cores for networks that mix examples",
    )
    attack_batch_size: int | None = option(
        None,
        "images attacked at a time in evaluations, per branch; limits the memory",
        unit="images",
        minimum=1,
        kind=int,
        shown="as many as fit into 2 GB, at most 500",
    )
    distribute: str = option("none", "devices to train on", choices=DISTRIBUTIONS)
    logical_cpus: int = option(1, "number of simulated CPU devices, for tests", minimum=1)
    output_dir: str = option("runs", "folder for all runs", hashed=False)
    continue_from: str | None = option(
        None,
        "directory of a finished run to continue with more --rounds (or more --iterations, for a "
        "method that trains once) and otherwise the same flags; the result is bit-identical to a "
        "run of this length",
        kind=str,
        shown="none",
        hashed=False,
    )
    overwrite: bool = option(False, "start again if the run exists", hashed=False)

    def __post_init__(self) -> None:
        check(self)


GROUPS: tuple[type, ...] = (
    RunOptions,
    DataOptions,
    Mixed,
    StepOptions,
    OptimizerOptions,
    LayerRates,
    FeaturePruning,
    LotteryTicket,
    PhaseOptions,
)
# Options of methods that the pruner of lottery tickets has, too.
_OF_LOTTERIES_TOO = ("dense_first", "dense_last")
OPTION_CLASSES: dict[str, type[Method]] = {**METHODS, "lottery": LayerRates}
"""The class of each value of --method, whose fields are its options."""


def _common() -> dict[str, dataclasses.Field[Any]]:
    """The fields of the groups by name, without those that are options of methods."""
    found = {field.name: field for group in GROUPS for field in dataclasses.fields(group)}
    return {name: field for name, field in found.items() if name not in _OF_LOTTERIES_TOO}


METHOD = Choice(
    "method",
    "Method options (each lists the methods that have it)",
    OPTION_CLASSES,
    frozenset(_common()),
)
OBJECTIVE = Choice(
    "objective",
    "Objective options (each lists the objectives that have it)",
    OBJECTIVES,
    METHOD.taken | METHOD.names(),
)
CHOICES = (METHOD, OBJECTIVE)


def fields() -> list[dataclasses.Field[Any]]:
    """The fields that are flags: group by group, then those of attacks, methods and objectives."""
    found = _common()
    of_attacks = [field for group in attack_flags.GROUPS for field in attack_flags.fields(group)]
    return [*found.values(), *of_attacks, *(own for each in CHOICES for own in each.fields())]


def parse(argv: list[str], repeated: dict[str, str] | None = None) -> dict[str, Any]:
    """Parses the value of each flag of a run.

    Args:
        argv: the command line, which begins with the program's name.
        repeated: further flags that may be given several times, with their help; values are lists
            of strings.

    Raises:
        InputError: for an unknown flag, a value of the wrong type, or a missing flagfile.
    """
    return flags.parse(argv, fields(), repeated)


def make_method(values: dict[str, Any]) -> Method | None:
    """The method of the flag `method`; None if masks do not change in training.

    Raises:
        InputError: for options that the method does not have, or values that it does not allow.
    """
    chosen = procedure.procedure_of(values)
    return chosen.method(values["seed"], METHOD.given(values, chosen.name, chosen.options))


def make_objective(values: dict[str, Any]) -> Objective:
    """The objective of the flag `objective`.

    Raises:
        InputError: for options that the objective does not have, or values that it does not allow.
    """
    chosen = values["objective"]
    cls = OBJECTIVES[chosen]
    names = [field.name for field in dataclasses.fields(cls)]
    given = OBJECTIVE.given(values, chosen, names)
    common = {name: values[name] for name in names if name in OBJECTIVE.taken}
    return cls(**common | given)


def different(values: dict[str, Any]) -> dict[str, Any]:
    """The flags that identify a run: those that differ from their defaults."""
    defaults = _defaults()
    return {name: own for name, own in hashed(values).items() if own != defaults[name]}


def hashed(values: dict[str, Any]) -> dict[str, Any]:
    """All flags that are part of a run's identity."""
    return {field.name: values[field.name] for field in fields() if field.metadata["hashed"]}


def value_of(kept: dict[str, Any], name: str) -> Any:
    """The value of a flag, given the flags that differ from their defaults."""
    return kept[name] if name in kept else _defaults()[name]


def whole(kept: dict[str, Any]) -> dict[str, Any]:
    """All flags, given those that differ from their defaults."""
    return _defaults() | kept


@functools.cache
def _defaults() -> dict[str, Any]:
    return {field.name: default_of(field) for field in fields()}


@functools.cache
def kinds() -> dict[str, type]:
    """The types of all flags by name."""
    return {field.name: kind(field) for field in fields()}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The flags whose values are not their defaults, whether part of the identity or not."""
    return {
        field.name: values[field.name]
        for field in fields()
        if values[field.name] != default_of(field)
    }


def choice_of(name: str) -> Choice | None:
    """The choice among whose options a flag is, such as `METHOD`; None for other flags."""
    return next((each for each in CHOICES if name in _choice_names()[each.flag]), None)


def has_option(choice: Choice, chosen: str | None, name: str) -> bool:
    """Whether a class that a flag chooses has an option; None is for the flag's default."""
    chosen = chosen or _defaults()[choice.flag]
    if choice is METHOD:
        return chosen in procedure.BY_NAME and name in procedure.BY_NAME[chosen].options
    return choice.has(chosen, name)


@functools.cache
def _choice_names() -> dict[str, frozenset[str]]:
    return {each.flag: each.names() for each in CHOICES}


def help_text() -> str:
    """The help: every flag with its meaning, unit, default and allowed values."""
    lines = ["python -m experiments.run [--flagfile=FILE] [--FLAG=VALUE ...]", ""]
    described: set[str] = set()
    shown = _common()
    for group in GROUPS:
        names = [field.name for field in dataclasses.fields(group)]
        own = [shown[name] for name in names if name in shown and name not in described]
        lines.append(f"{group.__name__}: {(group.__doc__ or '').strip().splitlines()[0]}")
        for field in own:
            lines += flags.describe(field)
            described.add(field.name)
        lines.append("")
    for name, title in attack_flags.GROUPS.items():
        lines.append(title)
        for field in attack_flags.fields(name):
            lines += flags.describe(field)
        lines.append("")
    for choice in CHOICES:
        lines += [*choice.help_lines(), ""]
    return "\n".join(lines[:-1])
