"""Results of a comparison: accuracies of each method over seeds, with their spread."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import TypedDict

from robust_sparse_tf.evaluation.intervals import student
from robust_sparse_tf.evaluation.report import Report
from robust_sparse_tf.method_table import MethodRow, Spread, cells, spread
from robust_sparse_tf.texts import csv_table, latex_table, markdown_table, percent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a method, and its evaluation.

    Attributes:
        method: name of the method.
        seed: seed of the weights, the order of the examples, the masks and the training attacks.
        density: fraction of the prunable weights that are kept; 1 for a dense network.
        seconds: duration of the training, without the evaluation.
        report: report of the evaluation.
    """

    method: str
    seed: int
    density: float
    seconds: float
    report: Report


class Row(TypedDict):
    """One measure of one method; densities and accuracies are fractions.

    `attack` is None for the density, "clean", the name of an attack, "worst" for the worst case
    over all attacks in a ball, or "certified"; `norm` and `epsilon` are None without a ball.
    `title` has all three in words. `values` has one number per seed, in the order of `seeds`.
    `std` is the standard deviation of the sample (n - 1); `low` and `high` are Student's t interval
    of the mean, cut to [0, 1]. All three are None for one seed.
    """

    method: str
    title: str
    attack: str | None
    norm: str | None
    epsilon: float | None
    mean: float
    std: float | None
    low: float | None
    high: float | None
    seeds: list[int]
    values: list[float]


_COLUMNS = ("method", "measure", "attack", "norm", "epsilon", "mean", "std", "low", "high")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """Methods compared over seeds; shown as a table of the worst cases.

    Attributes:
        trials: the trainings, in the order of running.
        diverged: a line for each training whose loss did not stay finite; they are in no table.
        level: confidence level of the intervals.
    """

    trials: Sequence[Trial]
    diverged: Sequence[str] = ()
    level: float = 0.95

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in order."""
        return list(dict.fromkeys(trial.method for trial in self.trials))

    @property
    def warnings(self) -> list[str]:
        """Trainings that diverged, and warnings of the evaluations, with method and seed."""
        told = [
            f"{trial.method}, seed {trial.seed}: {warning}"
            for trial in self.trials
            for warning in trial.report.warnings
        ]
        return [*self.diverged, *told]

    @property
    def over(self) -> str:
        """A caption for the numbers: "one seed", or "mean ± standard deviation over 3 seeds"."""
        counts = sorted({len(self._of(method)) for method in self.methods})
        if counts == [1]:
            return "one seed"
        return f"mean ± standard deviation over {' or '.join(map(str, counts))} seeds"

    def rows(self) -> list[Row]:
        """For each method, its density and accuracies, in the order of `Report.rows`."""
        return [row for method in self.methods for row in self._rows(method)]

    def main_rows(self) -> list[Row]:
        """The rows of clean accuracies and, for each ball, of the worst case or the only attack.

        Certified accuracies are among them.
        """
        rows = self.rows()
        counts = collections.Counter(_ball(row) for row in rows if row["attack"] != "certified")
        return [
            row
            for row in rows
            if row["attack"] in ("clean", "certified")
            # Each ball has the worst case besides the attacks.
            or row["epsilon"] is not None
            and (row["attack"] == "worst") == (counts[_ball(row)] > 2)
        ]

    def __repr__(self) -> str:
        lines = [*markdown_table(self._table(self.main_rows()), left=1), "", self._note()]
        if self.warnings:
            lines += ["", f"**Warnings:** {len(self.warnings)}, listed by to_markdown()."]
        return "\n".join(lines) + "\n"

    def _repr_markdown_(self) -> str:
        """The short table, for notebooks."""
        return repr(self)

    def to_markdown(self) -> str:
        """A table with a line per method and measure, with intervals; then the warnings."""
        head = ["method", "measure", "mean (%)", f"{100 * self.level:g} % interval", "seeds"]
        table = [head]
        for row in self.rows():
            interval = ""
            if row["low"] is not None and row["high"] is not None:
                interval = f"{percent(row['low'])} to {percent(row['high'])}"
            mean = percent(row["mean"], row["std"])
            table.append([row["method"], row["title"], mean, interval, str(len(row["values"]))])
        lines = [*markdown_table(table, left=2), "", self._note()]
        if len(self.trials) > len(self.methods):
            lines[-1] += " Intervals are of the mean over seeds (Student's t)."
        lines += [f"\n**Warning:** {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """The `rows`, as fractions, with a column per seed."""
        seeds = list(dict.fromkeys(trial.seed for trial in self.trials))
        lines = []
        for row in self.rows():
            line: dict[str, object] = {name: row.get(name) for name in _COLUMNS}
            by_seed = zip(row["seeds"], row["values"], strict=True)
            lines.append(
                line
                | {"measure": row["title"]}
                | {f"seed {seed}": value for seed, value in by_seed}
            )
        return csv_table([*_COLUMNS, *(f"seed {seed}" for seed in seeds)], lines)

    def to_latex(self) -> str:
        """A tabular of all accuracies in percent, a row per method; needs the package booktabs."""
        rows = [row for row in self.rows() if row["attack"] is not None]
        return f"% {self._note()}\n" + latex_table(self._table(rows), left=1)

    def _note(self) -> str:
        sizes = {len(trial.report.labels) for trial in self.trials}
        images = " or ".join(map(str, sorted(sizes)))
        return f"Densities and test accuracies in percent: {self.over}, {images} images."

    def _table(self, rows: Sequence[Row]) -> list[list[str]]:
        """A table with a row per method and some of the accuracies as columns."""
        found = []
        for method in self.methods:
            own = self._of(method)
            found.append(
                MethodRow(
                    method=method,
                    density=spread([trial.density for trial in own]).mean,
                    seeds=len(own),
                    measures={
                        row["title"]: Spread(row["mean"], row["std"])
                        for row in rows
                        if row["method"] == method
                    },
                )
            )
        return cells(found)

    def _of(self, method: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.method == method]

    def _rows(self, method: str) -> list[Row]:
        trials = self._of(method)
        rows = [self._row(trials, "density", None, [trial.density for trial in trials])]
        tables = [trial.report.rows() for trial in trials]
        several = len({row["norm"] for row in tables[0] if row["norm"]}) > 1
        for same in zip(*tables, strict=True):
            name, norm, epsilon = (same[0][key] for key in ("attack", "norm", "epsilon"))
            title = name
            if epsilon is not None:
                title += f" at {epsilon:g}"
            if several and norm:
                title += f" ({norm})"
            values = [row["accuracy"] for row in same]
            rows.append(self._row(trials, title, name, values, norm, epsilon))
        return rows

    def _row(
        self,
        trials: Sequence[Trial],
        title: str,
        attack: str | None,
        values: list[float],
        norm: str | None = None,
        epsilon: float | None = None,
    ) -> Row:
        found = spread(values)
        interval = student(values, self.level)
        low, high = (max(0.0, interval[0]), min(1.0, interval[1])) if interval else (None, None)
        return Row(
            method=trials[0].method,
            title=title,
            attack=attack,
            norm=norm,
            epsilon=epsilon,
            mean=found.mean,
            std=found.std,
            low=low,
            high=high,
            seeds=[trial.seed for trial in trials],
            values=values,
        )


def _ball(row: Row) -> tuple[str, str | None, float | None]:
    return row["method"], row["norm"], row["epsilon"]
