"""Options of measurements, and the files of the results."""

import dataclasses
import os
from typing import Any

from experiments.cli import flags, ranges
from experiments.cli.digest import digest
from experiments.evaluations.file_options import modules_option, trust_option
from experiments.evaluations.rounds import check_rounds
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, is_count, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Options of measurements."""

    model: str | None = option(
        None, "a run's directory, with the networks of its rounds", kind=str, shown="none"
    )
    at_rounds: list[str] = option(
        [],
        "rounds of a run whose networks are measured, separated by commas",
        shown="all",
    )
    measures: list[str] = option(
        ["r_inf", "deepfool", "activation_sparsity"],
        "measures, separated by commas",
        choices=(
            "r_inf",
            "deepfool",
            "deepfool_first_step",
            "carlini_wagner",
            "clever",
            "bounds",
            "lipschitz",
            "gamma",
            "activation_sparsity",
            "usefulness",
            "weights",
        ),
    )
    data_dir: str | None = data_dir_option()
    examples: int = option(0, "use the first N test images (0: all)", unit="images", minimum=0)
    r_inf_epsilon: float = option(
        0.1, "linf radius of FGS, rFGS and the bounds on r_inf", unit="input units", above=0
    )
    deepfool_steps: int = option(50, "maximum steps of DeepFool", unit="steps", minimum=1)
    cw_examples: int = option(1000, "test images for Carlini-Wagner", unit="images", minimum=1)
    cw_searches: int = option(9, "number of constants tried by Carlini-Wagner", minimum=1)
    cw_steps: int = option(1000, "steps per constant of Carlini-Wagner", unit="steps", minimum=1)
    cw_constant: float = option(0.001, "first constant of Carlini-Wagner", above=0)
    clever_examples: int = option(100, "test images for CLEVER", unit="images", minimum=1)
    clever_batches: int = option(
        500, "number of maxima to which CLEVER fits its distribution", minimum=1
    )
    clever_samples: int = option(1024, "number of gradients per maximum of CLEVER", minimum=1)
    clever_radius: float = option(5.0, "l2 radius of CLEVER's ball", unit="input units", above=0)
    lipschitz_examples: int = option(
        100, "test images for lemma 3.1 and for proposition 3.1's gamma", unit="images", minimum=1
    )
    lipschitz_radius: float = option(
        0.1, "radius of lemma 3.1's ball", unit="input units", minimum=0
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    trust: bool = trust_option()
    modules: list[str] = modules_option()

    def __post_init__(self) -> None:
        check(self)
        if not self.measures:
            raise InputError("measures=: must be measures separated by commas")
        ranges.check_epsilon("r_inf_epsilon", self.r_inf_epsilon, "linf")
        check_rounds(self.at_rounds)


def parse(argv: list[str]) -> MeasureOptions:
    """Parses the options of a command line, which begins with the program's name.

    Raises:
        InputError: for wrong options.
    """
    return flags.parse_group(argv, MeasureOptions)


def paths(run: str, options: MeasureOptions) -> list[str]:
    """The files of the measures of each round, named by the options, whether they exist or not.

    Args:
        run: directory of the run; by default, all rounds with a network.
        options: options of the measurement.
    """
    numbers = [int(word) for word in options.at_rounds]
    if not numbers and os.path.isdir(os.path.join(run, "rounds")):
        names = os.listdir(os.path.join(run, "rounds"))
        numbers = sorted(int(name) for name in names if is_count(name))
    name = f"measures-{digest(asked(options))}.json"
    return [os.path.join(run, "rounds", str(n), name) for n in numbers]


def asked(options: MeasureOptions) -> dict[str, Any]:
    """The options that affect the measures of a network."""
    places = ("model", "at_rounds", "data_dir", "trust", "modules")
    found = {name: value for name, value in vars(options).items() if name not in places}
    # Stored measures contain them, and their files' names depend on them.
    return found | {"epsilon": found.pop("r_inf_epsilon")}
