"""Options of evaluations, the attacks that they name, and the folders of reports."""

import dataclasses
import os
import types
from collections.abc import Mapping
from typing import Any

from experiments.cli import flags, ranges
from experiments.cli.digest import digest
from experiments.evaluations import stored
from experiments.evaluations.file_options import modules_option, trust_option
from experiments.evaluations.rounds import check_rounds
from experiments.runs import best
from robust_sparse_tf import attacks, data
from robust_sparse_tf.attacks import norms
from robust_sparse_tf.bounds.methods import METHODS
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import ensembles
from robust_sparse_tf.options import check, checked, make, option

_OF_ATTACKS = ("steps", "step_size", "random_start")  # None leaves the attack's own
_ADDED = (*_OF_ATTACKS, "eot_draws", "noise")  # which options of before did not have

_SCORES = ("square", "spsa", "zoo", "uniform_noise", "gaussian_noise")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of evaluations: models, attacks, and folders of reports."""

    model: str | None = option(
        None,
        "a run's directory, a SavedModel, a .keras, .tflite or .onnx file",
        kind=str,
        shown="none",
    )
    at_rounds: list[str] = option(
        [],
        "rounds of a run whose networks are attacked, separated by commas",
        shown="the last",
    )
    weights: str = option(
        "final",
        "weights of the rounds of a run: the final ones, or those of the best robust validation "
        "accuracy",
        choices=("final", "best"),
    )
    source: list[str] = option(
        [],
        "other models, separated by commas, whose adversarial examples are also tried (transfer)",
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
    steps: int | None = option(
        None,
        "steps of attacks given by name that have steps",
        unit="steps",
        minimum=1,
        kind=int,
        shown="the attack's own",
    )
    step_size: float | None = option(
        None,
        "step size of attacks given by name that have one, at the first of --epsilons; in "
        "proportion to epsilon at the others",
        unit="input units",
        above=0,
        kind=float,
        shown="an eighth of epsilon",
    )
    random_start: bool | None = option(
        None,
        "whether attacks given by name start at a random point of the ball, if they can",
        kind=bool,
        shown="the attack's own",
    )
    eot_draws: int | None = option(
        None,
        "gradients averaged per step, for models with noise at inference (expectation over "
        "transformation)",
        unit="draws",
        minimum=1,
        kind=int,
        shown="the attack's own",
    )
    noise: str | None = option(
        None,
        "noise at inference, of a network that was trained with noise on its weights",
        choices=("on", "off"),
        kind=str,
        shown="the network's own setting",
    )
    examples: int = option(1000, "use the first N test images (0: all)", unit="images", minimum=0)
    attack_batch_size: int | None = option(
        None,
        "images attacked at a time; limits the memory",
        unit="images",
        minimum=1,
        kind=int,
        shown="as many as fit into 2 GB, at most 500",
    )
    passes: int = option(
        1,
        "forward passes per image, for models with noise at inference",
        unit="passes",
        minimum=1,
    )
    check_masking: bool = option(
        True, "whether to test for gradient masking, which needs additional attacks"
    )
    certify: str = option(
        "auto",
        "bounds that certify images in the balls of the attacks; auto: interval for a run with a "
        "certified objective, otherwise none",
        choices=("auto", "none", *METHODS),
    )
    skip_certified: bool = option(
        False, "do not attack images that are certified, which no attack can fool"
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    trust: bool = trust_option()
    modules: list[str] = modules_option()
    output: str | None = option(
        None, "folder for reports", kind=str, shown="robustness, in or beside the model"
    )

    def __post_init__(self) -> None:
        check(self)
        check_rounds(self.at_rounds)
        if self.skip_certified and self.certify == "none":
            raise InputError("skip_certified=True: must be False with certify=none")
        for epsilon in radii(self):
            ranges.check_epsilon("epsilons", epsilon, self.norm)


def parse(argv: list[str]) -> EvaluateOptions:
    """Parses the options of a command line, which begins with the program's name.

    Raises:
        InputError: for wrong options.
    """
    return flags.parse_group(argv, EvaluateOptions)


def targets(model: str, options: EvaluateOptions) -> list[str]:
    """The networks to attack: the model, or those of rounds of its run.

    Raises:
        InputError: if the best weights are asked for and not kept.
    """
    rounds = [os.path.join(model, "rounds", str(int(word))) for word in options.at_rounds]
    places = rounds or [model]
    return [_best(place) for place in places] if options.weights == "best" else places


def _best(place: str) -> str:
    """The file of the best weights, from the path of a run or a round."""
    path = os.path.join(os.path.dirname(stored.model_of(place)), best.FILE)
    if not os.path.isdir(place) or not os.path.exists(path):
        raise InputError(
            f"weights=best: {place} keeps none; must be a run, or a round of one, with {best.FILE}"
        )
    return path


def folder(model: str, options: EvaluateOptions) -> str:
    """The folder of a model's report, named by the options, so that the command can resume."""
    place = model if os.path.isdir(model) else os.path.dirname(model)
    asked = dataclasses.asdict(options)
    # Names must not change: renamed options have their old names here.
    asked |= {"output": "", "data_dir": "", "attack_batch_size": 0, "draws": asked.pop("passes")}
    asked |= {"dataset": asked["dataset"] or "", "source": ",".join(options.source)}
    # These do not change results; best weights have a file and a folder of their own.
    for name in ("at_rounds", "weights", "trust", "modules"):
        del asked[name]
    if options.certify == "auto":
        del asked["certify"]
    if not options.skip_certified:
        del asked["skip_certified"]
    for name in _ADDED:
        if asked[name] is None:
            del asked[name]
    asked["model"] = model if options.output or place != model else ""
    name = f"{'-'.join(options.attacks)}-{options.norm}-{digest(asked)}"
    inside = "robustness_best" if options.weights == "best" else "robustness"
    return os.path.join(options.output or os.path.join(place, inside), name)


def attacks_of(options: EvaluateOptions) -> str | dict[str, attacks.Attack]:
    """The name of an ensemble, or attacks by name, without those of a source model.

    Raises:
        InputError: for attacks that cannot be combined, or do not support the norm.
    """
    names = options.attacks
    named = [name for name in names if name in ensembles.NAMES]
    if not names:
        raise InputError("attacks=: must be an ensemble, or attacks separated by commas")
    if named and len(names) > 1:
        raise InputError(f"attacks={','.join(names)}: an ensemble must be the only item")
    if named:
        for setting in _OF_ATTACKS:
            if (value := getattr(options, setting)) is not None:
                raise InputError(
                    f"{setting}={value}: is no option of the ensemble {named[0]}; give attacks by "
                    "name"
                )
        ensembles.make(named[0], ball(options), classes=10)  # refuses unsupported norms
        return named[0]
    made = {name: attack(name, ball(options), given(options)) for name in names}
    for setting, value in given(options).items():
        if not any(hasattr(each, setting) for each in made.values()):
            raise InputError(f"{setting}={value}: is no option of {', '.join(names)}")
    return made


def ball(options: EvaluateOptions) -> attacks.Ball:
    """The threat model with the first epsilon.

    Raises:
        InputError: for a negative epsilon, or a value that is not a number.
    """
    return attacks.Ball(options.norm, radii(options)[0])


def radii(options: EvaluateOptions) -> list[float]:
    """The epsilons as numbers.

    Raises:
        InputError: if there are none, or a value is not a number.
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
    """Refuses attacks that need gradients for .tflite and .onnx files, which have none."""
    ending = os.path.splitext(options.model or "")[1]
    if ending in (".tflite", ".onnx") and set(options.attacks) - set(_SCORES):
        raise InputError(
            f"attacks={','.join(options.attacks)}: must be among {', '.join(_SCORES)} for a "
            f"{ending} file, which has no gradients; use --source for transfer"
        )


def given(options: EvaluateOptions) -> dict[str, Any]:
    """The settings of single attacks that were given."""
    values = {name: getattr(options, name) for name in _OF_ATTACKS}
    return {name: value for name, value in values.items() if value is not None}


def attack(
    name: str, within: attacks.Ball, settings: Mapping[str, Any] = types.MappingProxyType({})
) -> attacks.Attack:
    """An attack with its defaults, and steps in proportion to epsilon, except for some settings.

    Raises:
        InputError: for values that the attack does not allow.
    """
    cls = attacks.BY_NAME[name]
    if not issubclass(cls, attacks.Bounded):
        return make(cls, {"norm": within.norm, **settings})
    # At epsilon 0 no step size is given.
    values = dataclasses.asdict(within) | {"step_size": 0.125 * within.epsilon or None}
    return make(cls, {**values, **settings})
