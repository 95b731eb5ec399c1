"""The options of a measurement, and the files that hold what it measured."""

import dataclasses
import os
from typing import Any

from experiments.cli import flags, ranges
from experiments.cli.digest import digest
from experiments.evaluations.rounds import check_rounds
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, is_count, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Which networks are measured, and how."""

    model: str | None = option(
        None, "a run's directory, with the networks of its rounds", kind=str, shown="none"
    )
    at_rounds: list[str] = option(
        [],
        "numbers of a run's rounds, separated by commas, whose networks are measured",
        shown="all",
    )
    measures: list[str] = option(
        ["r_inf", "deepfool", "activation_sparsity"],
        "what is measured, separated by commas",
        choices=(
            "r_inf",
            "deepfool",
            "carlini_wagner",
            "clever",
            "bounds",
            "lipschitz",
            "gamma",
            "activation_sparsity",
            "usefulness",
        ),
    )
    data_dir: str | None = data_dir_option()
    examples: int = option(0, "test images (0: all)", unit="images", minimum=0)
    r_inf_epsilon: float = option(
        0.1, "radius of FGS and rFGS, and of the bounds on r_inf", unit="input units", above=0
    )
    deepfool_steps: int = option(50, "most steps of DeepFool", unit="steps", minimum=1)
    cw_examples: int = option(1000, "test images for Carlini-Wagner", unit="images", minimum=1)
    cw_searches: int = option(9, "constants tried by Carlini-Wagner", minimum=1)
    cw_steps: int = option(1000, "steps of a search of Carlini-Wagner", unit="steps", minimum=1)
    cw_constant: float = option(0.001, "first constant of Carlini-Wagner", above=0)
    clever_examples: int = option(100, "test images for CLEVER", unit="images", minimum=1)
    clever_batches: int = option(500, "maxima to which CLEVER fits its distribution", minimum=1)
    clever_samples: int = option(1024, "gradients of which each maximum is one", minimum=1)
    clever_radius: float = option(5.0, "l2 radius of CLEVER's ball", unit="input units", above=0)
    lipschitz_examples: int = option(
        100, "test images for lemma 3.1 and for proposition 3.1's gamma", unit="images", minimum=1
    )
    lipschitz_radius: float = option(0.1, "of lemma 3.1's ball", unit="input units", minimum=0)
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    trust: bool = option(
        False, "whether to load a model whose file names code, which may do whatever you can"
    )
    modules: list[str] = option(
        [],
        "modules of your own whose layers a model's file may name, separated by commas",
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.measures:
            raise InputError("measures=: must be measures separated by commas")
        ranges.check_epsilon("r_inf_epsilon", self.r_inf_epsilon, "linf")
        check_rounds(self.at_rounds)


def parse(argv: list[str]) -> MeasureOptions:
    """The options of a command line, whose first word is the program's name.

    Raises:
        InputError: for what is not allowed.
    """
    return flags.parse_group(argv, MeasureOptions)


def paths(run: str, options: MeasureOptions) -> list[str]:
    """The files of the measures of each round; named by what is asked, whether there or not.

    Args:
        run: its directory; without rounds given, those whose networks are there.
        options: what is asked.
    """
    numbers = [int(word) for word in options.at_rounds]
    if not numbers and os.path.isdir(os.path.join(run, "rounds")):
        names = os.listdir(os.path.join(run, "rounds"))
        numbers = sorted(int(name) for name in names if is_count(name))
    name = f"measures-{digest(asked(options))}.json"
    return [os.path.join(run, "rounds", str(n), name) for n in numbers]


def asked(options: MeasureOptions) -> dict[str, Any]:
    """What decides on the measures of a network."""
    places = ("model", "at_rounds", "data_dir", "trust", "modules")
    found = {name: value for name, value in vars(options).items() if name not in places}
    # Stored measures say so, and their files' names are made of it.
    return found | {"epsilon": found.pop("r_inf_epsilon")}
