"""Means over seeds and their spread: the table of methods of sweeps and comparisons."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from robust_sparse_tf.texts import percent


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean over seeds, and the standard deviation of the sample (n - 1), None for one seed."""

    mean: float
    std: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodRow:
    """The accuracies of a method at a density.

    Attributes:
        method: its name.
        settings: what else tells it from other rows, such as "epsilon=0.1".
        density: the mean over the seeds.
        seeds: how many there are.
        measures: accuracies (fractions) on clean images and under each attack, by "clean" and the
            attack's name.
    """

    method: str
    settings: tuple[str, ...] = ()
    density: float
    seeds: int
    measures: dict[str, Spread]

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        return dataclasses.asdict(self) | {"settings": list(self.settings)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "MethodRow":
        """The inverse of `as_json`."""
        measures = {name: Spread(**measure) for name, measure in entry["measures"].items()}
        return cls(**{**entry, "settings": tuple(entry["settings"]), "measures": measures})

    @property
    def name(self) -> str:
        """The method with the settings."""
        return ", ".join((self.method, *self.settings))


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample (n - 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def spread(values: Sequence[float]) -> Spread:
    """The mean and the deviation of one value or more."""
    return Spread(statistics.fmean(values), deviation(values))


def measures_of(rows: Sequence[MethodRow]) -> list[str]:
    """The measures of any row, which may differ in the attacks that they have."""
    return list(dict.fromkeys(name for row in rows for name in row.measures))


def cells(rows: Sequence[MethodRow]) -> list[list[str]]:
    """A table, its header first: densities and accuracies in percent, mean ± deviation."""
    names = measures_of(rows)
    table = [["method", "density", *names, "seeds"]]
    for row in rows:
        shown = [_shown(row.measures.get(name)) for name in names]
        table.append([row.name, percent(row.density, digits=1), *shown, str(row.seeds)])
    return table


def _shown(measure: Spread | None) -> str:
    return "" if measure is None else percent(measure.mean, measure.std)
