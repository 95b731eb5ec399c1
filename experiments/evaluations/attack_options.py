"""The options of an evaluation, the attacks that they name, and the folders of its reports."""

import dataclasses
import os

from experiments.cli import flags, ranges
from experiments.cli.digest import digest
from experiments.evaluations.rounds import check_rounds
from robust_sparse_tf import attacks, data
from robust_sparse_tf.attacks import norms
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import ensembles
from robust_sparse_tf.options import check, checked, make, option

_SCORES = ("square", "spsa", "zoo", "uniform_noise", "gaussian_noise")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is attacked, by what, and where the report goes."""

    model: str | None = option(
        None, "a run's directory, a SavedModel, a .keras or a .tflite file", kind=str, shown="none"
    )
    at_rounds: list[str] = option(
        [],
        "numbers of a run's rounds, separated by commas, whose networks are attacked",
        shown="the last",
    )
    source: str | None = option(
        None,
        "a model whose adversarial examples are tried, too (transfer)",
        kind=str,
        shown="none",
    )
    dataset: str | None = option(
        None,
        "data set whose test images are attacked",
        kind=str,
        choices=data.NAMES,
        forms=data.FORMS,
        shown="the run's",
    )
    data_dir: str | None = data_dir_option()
    attacks: list[str] = option(
        ["standard"],
        "an ensemble, or attacks separated by commas",
        choices=(*ensembles.NAMES, *attacks.BY_NAME),
    )
    epsilons: list[str] = option(
        ["0.3"], "radii, separated by commas, in units of the input, such as 0.1 or 8/255"
    )
    norm: str = option("linf", "norm of the ball", choices=norms.NAMES)
    examples: int = option(1000, "test images (0: all)", unit="images", minimum=0)
    attack_batch_size: int = option(
        500, "images attacked at a time; bounds the memory", unit="images", minimum=1
    )
    passes: int = option(
        1,
        "forward passes that judge each image, for models with noise at inference",
        unit="passes",
        minimum=1,
    )
    check_masking: bool = option(
        True, "whether signs of masked gradients are looked for, which takes attacks of its own"
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    trust: bool = option(
        False, "whether to load a model whose file names code, which may do whatever you can"
    )
    modules: list[str] = option(
        [],
        "modules of your own whose layers a model's file may name, separated by commas",
    )
    output: str | None = option(
        None, "folder of reports", kind=str, shown="robustness, in or beside the model"
    )

    def __post_init__(self) -> None:
        check(self)
        check_rounds(self.at_rounds)
        for epsilon in radii(self):
            ranges.check_epsilon("epsilons", epsilon, self.norm)


def parse(argv: list[str]) -> EvaluateOptions:
    """The options of a command line, whose first word is the program's name.

    Raises:
        InputError: for what is not allowed.
    """
    return flags.parse_group(argv, EvaluateOptions)


def targets(model: str, options: EvaluateOptions) -> list[str]:
    """What is attacked: the model, or the networks of rounds of its run."""
    rounds = [os.path.join(model, "rounds", str(int(word))) for word in options.at_rounds]
    return rounds or [model]


def folder(model: str, options: EvaluateOptions) -> str:
    """Where a model's report goes: named by what was asked, so that the command continues there."""
    place = model if os.path.isdir(model) else os.path.dirname(model)
    asked = dataclasses.asdict(options)
    # As names have always been made: options that were renamed go by what they were called.
    asked |= {"output": "", "data_dir": "", "attack_batch_size": 0, "draws": asked.pop("passes")}
    asked |= {name: asked[name] or "" for name in ("dataset", "source")}
    for name in ("at_rounds", "trust", "modules"):  # rounds are models; the rest changes nothing
        del asked[name]
    asked["model"] = model if options.output or place != model else ""
    name = f"{'-'.join(options.attacks)}-{options.norm}-{digest(asked)}"
    return os.path.join(options.output or os.path.join(place, "robustness"), name)


def attacks_of(options: EvaluateOptions) -> str | dict[str, attacks.Attack]:
    """The name of an ensemble, or attacks by name, except for those of a source model.

    Raises:
        InputError: for attacks that do not go together, or with the norm.
    """
    names = options.attacks
    named = [name for name in names if name in ensembles.NAMES]
    if not names:
        raise InputError("attacks=: must be an ensemble, or attacks separated by commas")
    if named and len(names) > 1:
        raise InputError(f"attacks={','.join(names)}: an ensemble must be alone")
    if named:
        ensembles.make(named[0], ball(options), classes=10)  # refuses norms it does not know
        return named[0]
    return {name: attack(name, ball(options)) for name in names}


def ball(options: EvaluateOptions) -> attacks.Ball:
    """The threat model, at the first epsilon.

    Raises:
        InputError: for an epsilon that is no number from 0.
    """
    return attacks.Ball(options.norm, radii(options)[0])


def radii(options: EvaluateOptions) -> list[float]:
    """The epsilons as numbers.

    Raises:
        InputError: for none, and for what is no number.
    """
    try:
        numbers = [flags.real(text) for text in options.epsilons]
    except ValueError:
        numbers = []
    if not numbers:
        given = ",".join(options.epsilons)
        raise InputError(f"epsilons={given}: must be numbers separated by commas")
    return [checked("epsilons", number, float, minimum=0) for number in numbers]


def refuse_gradients(options: EvaluateOptions) -> None:
    """A .tflite file has none."""
    if (options.model or "").endswith(".tflite") and set(options.attacks) - set(_SCORES):
        raise InputError(
            f"attacks={','.join(options.attacks)}: must be of {', '.join(_SCORES)} for a .tflite "
            "file, which has no gradients; use --source for transfer"
        )


def attack(name: str, within: attacks.Ball) -> attacks.Attack:
    """An attack with its defaults, its steps in proportion to epsilon."""
    cls = attacks.BY_NAME[name]
    if not issubclass(cls, attacks.Bounded):
        return make(cls, {"norm": within.norm})
    # Without room, at epsilon 0, no step is given.
    values = dataclasses.asdict(within) | {"step_size": 0.125 * within.epsilon or None}
    return make(cls, values)
