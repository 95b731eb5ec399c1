"""Grids of runs: the flags that vary, and the resulting cells."""

import itertools
import json

from experiments.cli.flags import as_flag
from experiments.cli.values import Values
from experiments.runs import options as flags
from experiments.runs import profiles
from experiments.runs.unused import reasons
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import kind


def parse_grid(text: str) -> dict[str, list[str]]:
    """Parses the axes of a grid such as "method=set,rigl,density=0.5,0.1,seed=0,1".

    A word with "=" begins an axis; the following words are further values. The items of a flag that
    takes a list are joined by "+", as in "classes=1+7".

    Raises:
        InputError: for a grid without an axis, with a repeated axis, or with flags that are unknown
            or do not distinguish runs.
    """
    axes: dict[str, list[str]] = {}
    name = ""
    for word in text.split(","):
        if "=" in word:
            name, word = word.split("=", 1)
            if name in axes:
                raise InputError(f"grid={text}: {name} must be given once, as {name}=A,B")
            axes[name] = []
        if not name or not word:
            raise InputError(f"grid={text}: must be like method=set,rigl,density=0.5,0.1")
        axes[name].append(word)
    kinds = {field.name: kind(field) for field in flags.fields()}
    places = {field.name for field in flags.fields() if not field.metadata["hashed"]}
    for name, words in axes.items():
        if name not in kinds:
            raise InputError(f"grid={text}: {name} is no flag of experiments.run")
        if name in places:
            raise InputError(f"grid={text}: {name} does not distinguish runs, and must not vary")
        if kinds[name] is list:
            axes[name] = [word.replace("+", ",") for word in words]
    return axes


def cells(shared: Values, grids: list[str]) -> list[Values]:
    """The values of all flags of each cell, without duplicates, ordered by seed.

    Options that a cell's method or objective does not have, and flags without effect, are left out,
    so that "dense" is one cell for all densities. All cells of a seed come before those of the next
    seed, so that a sweep that is stopped early is most useful.

    Args:
        shared: flags of all cells that are not at their defaults.
        grids: see `parse_grid`.
    """
    found: dict[str, Values] = {}
    for axes in map(parse_grid, grids):
        for words in itertools.product(*axes.values()):
            chosen = shared | dict(zip(axes, words, strict=True))
            argv = [as_flag(name, v) for name, v in chosen.items() if _fits(name, chosen)]
            values = profiles.applied(flags.parse(["cell", *argv]))
            values |= {name: flags.value_of({}, name) for name in reasons(values)}
            found.setdefault(json.dumps(flags.different(values), sort_keys=True), values)
    return sorted(found.values(), key=lambda values: values["seed"])


def _fits(name: str, chosen: Values) -> bool:
    """Whether a cell's method or objective has a flag, if it is an option of such."""
    choice = flags.choice_of(name)
    return choice is None or flags.has_option(choice, chosen.get(choice.flag), name)
