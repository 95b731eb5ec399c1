"""Means over seeds and their spread: the table of methods of sweeps and comparisons."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from robust_sparse_tf.texts import percent


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean over seeds, and the standard deviation of the sample (n - 1); None for one seed."""

    mean: float
    std: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodRow:
    """The accuracies of a method at a density.

    Attributes:
        method: name of the method.
        settings: other settings that distinguish the row, such as "epsilon=0.1".
        density: mean over the seeds.
        seeds: number of seeds.
        measures: accuracies (fractions) by "clean" and the names of attacks.
    """

    method: str
    settings: tuple[str, ...] = ()
    density: float
    seeds: int
    measures: dict[str, Spread]

    def as_json(self) -> dict[str, object]:
        """The row's entry in report.json."""
        return dataclasses.asdict(self) | {"settings": list(self.settings)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "MethodRow":
        """The inverse of `as_json`."""
        measures = {name: Spread(**measure) for name, measure in entry["measures"].items()}
        return cls(**{**entry, "settings": tuple(entry["settings"]), "measures": measures})

    @property
    def name(self) -> str:
        """The method with its settings."""
        return ", ".join((self.method, *self.settings))


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample (n - 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def spread(values: Sequence[float]) -> Spread:
    """The mean and the deviation of one value or more."""
    return Spread(statistics.fmean(values), deviation(values))


def measures_of(rows: Sequence[MethodRow]) -> list[str]:
    """The measures that any row has; rows may have different attacks."""
    return list(dict.fromkeys(name for row in rows for name in row.measures))


def cells(rows: Sequence[MethodRow]) -> list[list[str]]:
    """A table, header first: densities and accuracies in percent, mean ± deviation."""
    names = measures_of(rows)
    table = [["method", "density", *names, "seeds"]]
    for row in rows:
        shown = [_shown(row.measures.get(name)) for name in names]
        table.append([row.name, percent(row.density, digits=1), *shown, str(row.seeds)])
    return table


def _shown(measure: Spread | None) -> str:
    return "" if measure is None else percent(measure.mean, measure.std)
