"""Names of a sweep's cells, by the flags that vary between them."""

import json
from collections.abc import Sequence
from typing import Any

from experiments.cli.flags import as_flag
from experiments.cli.values import Values
from experiments.runs import options, unused

# Method and density are always part of names, and seeds make trials of a network.
_TOLD = ("method", "density", "seed")


def trials(flags: Sequence[Values]) -> list[list[int]]:
    """The positions of runs that differ only in their seeds, in the order of the first.

    Args:
        flags: flags of each run that differ from their defaults.
    """
    found: dict[str, list[int]] = {}
    for place, own in enumerate(flags):
        found.setdefault(_without_seed(own), []).append(place)
    return list(found.values())


def varying(flags: Sequence[Values], densities: Sequence[float]) -> list[tuple[str, ...]]:
    """The flags that vary, for each run, such as ("learning_rate=0.1", "attack.steps=7").

    A flag varies if it has two values among the runs in which it has an effect or is given. The
    flag of density is included if the densities reached do not distinguish the networks of a
    method.

    Args:
        flags: flags of each run that differ from their defaults.
        densities: densities that the runs reached.
    """
    whole = [options.whole(own) for own in flags]
    names = [name for name in options.hashed(whole[0]) if name not in _TOLD] if whole else []
    words: list[tuple[str, ...]] = [()] * len(whole)
    for name in names:
        words = _added(words, name, flags, whole)
    seen: dict[tuple[Any, ...], set[str]] = {}
    for own, known, density, texts in zip(flags, whole, densities, words, strict=True):
        shown = (known["method"], f"{100 * density:.3g}", texts)
        seen.setdefault(shown, set()).add(_without_seed(own))
    is_clear = all(len(networks) == 1 for networks in seen.values())
    return words if is_clear else _added(words, "density", flags, whole)


def labels(cells: Sequence[Values]) -> list[str]:
    """Names of cells while they run, such as "rigl 10 % seed 1", by the flags that vary.

    Args:
        cells: the values of all flags of each cell.
    """
    flags = [options.different(values) for values in cells]
    densities = [_asked_density(values) for values in cells]
    words = varying(flags, [density or 0.0 for density in densities])
    many = len({values["seed"] for values in cells}) > 1
    found = []
    for values, density, own in zip(cells, densities, words, strict=True):
        parts = [values["method"]]
        parts += [f"{100 * density:.3g} %"] if density else []
        parts += own
        parts += [f"seed {values['seed']}"] if many else []
        found.append(" ".join(parts))
    return found


def _asked_density(values: Values) -> float | None:
    """The target density of a method; None for a method without this option."""
    if not unused.has_effect("density", values):
        return None
    density: float | None = _value("density", values)
    return density


def _added(
    words: Sequence[tuple[str, ...]], name: str, flags: Sequence[Values], whole: Sequence[Values]
) -> list[tuple[str, ...]]:
    """The words of each run, extended by a flag if it varies."""
    shown = [
        (_word(name, known),) if name in own or unused.has_effect(name, known) else ()
        for own, known in zip(flags, whole, strict=True)
    ]
    if len({*shown} - {()}) < 2:
        return list(words)
    return [before + word for before, word in zip(words, shown, strict=True)]


def _value(name: str, values: Values) -> Any:
    """The value of a flag, or the default of an option of the method or objective."""
    value = values[name]
    if value is None and (choice := options.choice_of(name)):
        return choice.default(values[choice.flag], name)
    return value


def _word(name: str, values: Values) -> str:
    value = _value(name, values)
    if isinstance(value, float):
        short = f"{value:g}"
        value = short if float(short) == value else value
    return as_flag(name, "default" if value is None else value).removeprefix("--")


def _without_seed(own: Values) -> str:
    return json.dumps({k: v for k, v in own.items() if k != "seed"}, sort_keys=True)
