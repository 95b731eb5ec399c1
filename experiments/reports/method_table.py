"""The table and the figure of a sweep by method and density."""

import dataclasses
import itertools
import statistics
from collections.abc import Sequence

from experiments.cli.figures import panels, percent_ticks
from experiments.cli.tables import deviation
from experiments.reports import naming
from experiments.runs.procedure import DEFAULT
from experiments.runs.results import RunResults
from robust_sparse_tf import files
from robust_sparse_tf.texts import markdown_table, percent

_COLORS = ("black", "gray", "saddlebrown", "navy", "darkgreen", "purple")


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean over seeds, and the standard deviation of the sample (n - 1), None for one seed."""

    mean: float
    std: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The accuracies of a method at a density.

    Attributes:
        method: its name.
        settings: other flags that vary between rows, see `naming.varying`.
        density: the mean over the seeds.
        seeds: how many there are.
        measures: accuracies (fractions) on clean images and under each attack, by "clean" and the
            attack's name.
    """

    method: str
    settings: tuple[str, ...]
    density: float
    seeds: int
    measures: dict[str, Spread]

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        return dataclasses.asdict(self) | {"settings": list(self.settings)}

    @property
    def name(self) -> str:
        """The method with the settings."""
        return ", ".join((self.method, *self.settings))


def rows_of(results: Sequence[RunResults]) -> list[Row]:
    """One row for each network: means and standard deviations over seeds.

    Args:
        results: of each finished cell.

    Returns:
        Rows by method and falling density.
    """
    flags = [result["flags"] for result in results]
    settings = naming.varying(flags, [result["rounds"][-1]["density"] for result in results])
    rows = []
    for places in naming.trials(flags):
        last = [results[place]["rounds"][-1] for place in places]
        measures = {"clean": [entry["test"]["clean_accuracy"] for entry in last]}
        robust = [entry["test"]["robust_accuracy"] for entry in last]
        for attack in robust[0]:
            measures[attack] = [own[attack] for own in robust if attack in own]
        rows.append(
            Row(
                method=flags[places[0]].get("method", DEFAULT),
                settings=settings[places[0]],
                density=statistics.fmean(entry["density"] for entry in last),
                seeds=len(places),
                measures={name: _spread(values) for name, values in measures.items()},
            )
        )
    order = list(dict.fromkeys(row.method for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.method), -row.density))


def markdown(rows: Sequence[Row]) -> str:
    """Test accuracies in percent, mean ± standard deviation."""
    names = _measures(rows)
    table = [["method", "density", *names, "seeds"]]
    for row in rows:
        shown = [_measured(row.measures.get(name)) for name in names]
        table.append([row.name, percent(row.density, digits=1), *shown, str(row.seeds)])
    title = "# Test accuracy (%) by method and density"
    return "\n".join([title, "", *markdown_table(table, left=1), ""])


def _spread(values: list[float]) -> Spread:
    return Spread(statistics.fmean(values), deviation(values))


def _measures(rows: Sequence[Row]) -> list[str]:
    """The measures of any row; cells may differ in the attacks that they evaluate."""
    return list(dict.fromkeys(name for row in rows for name in row.measures))


def _measured(measure: Spread | None) -> str:
    return "" if measure is None else percent(measure.mean, measure.std)


def draw(path: str, rows: Sequence[Row]) -> None:
    """Draws accuracies against density, a panel for each measure, a line for each name."""
    names = _measures(rows)
    figure, axes = panels(1, len(names), (5 * len(names), 4))
    for axis, name in zip(axes[0], names, strict=True):
        measured = [row for row in rows if name in row.measures]
        colors = itertools.cycle(_COLORS)  # of dense networks, whose lines have no markers
        for name_of in dict.fromkeys(row.name for row in measured):
            own = [row for row in measured if row.name == name_of]
            means = [row.measures[name].mean for row in own]
            stds = [row.measures[name].std or 0 for row in own]
            bars = {"yerr": stds, "capsize": 3} if any(stds) else {}  # none for one seed
            densities = [row.density for row in own]
            if own[0].method == "dense":
                axis.axhline(means[0], color=next(colors), linestyle="--", label=name_of)
            else:
                axis.errorbar(densities, means, marker="o", label=name_of, **bars)
        axis.set_xscale("log")
        axis.invert_xaxis()
        ticks = sorted({float(f"{r.density:.2g}") for r in rows if r.method != "dense"})
        axis.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(percent_ticks())
        axis.set_xlabel("density")
        axis.set_ylabel("test accuracy" if name == "clean" else f"test accuracy under {name}")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    files.write_figure(figure, path)
