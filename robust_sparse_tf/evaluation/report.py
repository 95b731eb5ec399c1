"""Reports of evaluations: accuracies with intervals, results per example, warnings."""

import dataclasses
import html
import json
import math
from typing import NamedTuple, TypedDict

import numpy as np

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.checks import Check
from robust_sparse_tf.evaluation.intervals import wilson
from robust_sparse_tf.options import checked
from robust_sparse_tf.texts import csv_table, markdown_table, percent


class Row(TypedDict):
    """A row of the table: clean examples, an attack at one epsilon, the worst case, or certified.

    `low` and `high` are the interval of the accuracy. `expected` is its mean over passes, with its
    `standard_error` if there are several. `distance` and `queries` are means over the attacked
    examples. Values that a row does not have are None.
    """

    attack: str
    norm: str | None
    epsilon: float | None
    accuracy: float
    low: float
    high: float
    expected: float | None
    standard_error: float | None
    distance: float | None
    queries: float | None
    seconds: float | None


class Picture(NamedTuple):
    """An image before and after an attack: floats, shaped as the image."""

    label: int
    prediction: int  # under attack
    clean: np.ndarray
    adversarial: np.ndarray

    @property
    def scale(self) -> float:
        """The largest change of a value."""
        return max(float(np.abs(self.adversarial - self.clean).max()), 1e-12)

    @property
    def difference(self) -> np.ndarray:
        """The change, 0.5 where there is none and 0 or 1 at `scale`."""
        return 0.5 + (self.adversarial - self.clean) / (2 * self.scale)


def is_image(value: np.ndarray) -> bool:
    """Whether an array can be drawn: [height, width, 1 or 3]."""
    return value.ndim == 3 and value.shape[-1] in (1, 3)


COLUMNS = tuple(Row.__annotations__)
RESERVED = ("clean", "worst", "certified")
"""Names of rows that no attack may have."""

_OF_EXAMPLES = ("tried", "stands", "distance", "queries", "seconds")


def reach(epsilon: float | None) -> float:
    """The maximum distance that counts as within epsilon, allowing for float32 rounding."""
    return float("inf") if epsilon is None else epsilon * (1 + 1e-5) + 1e-6


def mostly(judged: np.ndarray) -> np.ndarray:
    """Which examples are correct in more than half of the passes: bool [n] from [n, passes]."""
    return 2 * judged.sum(axis=1) > judged.shape[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one attack at one epsilon.

    Attributes:
        attack: name of the attack.
        norm: norm of the distances.
        epsilon: radius of the ball; None for an attack that minimises the distance.
        tried: bool [n], the examples that were attacked; the others keep their state.
        judged: bool [n, passes], whether pass j classifies example i correctly after this attack
            (in an ensemble: after all attacks so far); one pass unless the model has noise at
            inference.
        distance: float32 [n], size of the perturbation; 0 for examples that were not attacked.
        queries: float32 [n], forward passes per attacked example, averaged over its batch.
        seconds: float32 [n], time per example: its part of its batch's, compiling included.
    """

    attack: str
    norm: str
    epsilon: float | None
    tried: np.ndarray
    judged: np.ndarray
    distance: np.ndarray
    queries: np.ndarray
    seconds: np.ndarray

    @property
    def stands(self) -> np.ndarray:
        """The examples that are correct in most passes: bool [n]."""
        return mostly(self.judged)

    def within(self, epsilon: float) -> "Outcome":
        """The result within a radius, for an attack that minimises the distance."""
        epsilon = checked("epsilon", epsilon, float, minimum=0)
        missed = self.tried & (self.distance > reach(epsilon))
        return dataclasses.replace(self, epsilon=epsilon, judged=self.judged | missed[:, None])


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """Robustness of a model on given examples; shown as a table.

    Attributes:
        labels: int64 [n].
        predictions: int64 [n], of the clean examples; with several passes, the most frequent one.
        judged: bool [n, passes], whether pass j classifies clean example i correctly.
        outcomes: one per attack and epsilon, in the order of running.
        warnings: reasons why accuracies may be too high, and other limits of the evaluation.
        checks: of gradient masking and the like; those that failed are among the warnings.
        pictures: a few by attack and epsilon.
        level: confidence level of the intervals.
        model: identity of the model, see `evaluate`.
        certified: by norm and epsilon, the examples that bounds certify: bool [n]. The robust
            accuracy is between theirs and the worst case of the attacks.
        skipped: whether attacks left out certified examples.
    """

    labels: np.ndarray
    predictions: np.ndarray
    judged: np.ndarray
    outcomes: list[Outcome]
    warnings: list[str]
    pictures: dict[tuple[str, float | None], list[Picture]]
    level: float = 0.95
    model: str = ""
    checks: list[Check] = dataclasses.field(default_factory=list)
    certified: dict[tuple[str, float], np.ndarray] = dataclasses.field(default_factory=dict)
    skipped: bool = False

    @property
    def right(self) -> np.ndarray:
        """Which clean examples are classified correctly: bool [n]."""
        return mostly(self.judged)

    def __repr__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        """The table as HTML, for notebooks without Markdown."""
        lines = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in self._table()]
        notes = [self._size(), *(f"Warning: {each}" for each in self.warnings)]
        told = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
        return f"<table>{''.join(lines)}</table>{told}"

    def _repr_markdown_(self) -> str:
        """The table as Markdown, for notebooks."""
        return self.to_markdown()

    def accuracy(self, attack: str, epsilon: float | None = None, norm: str | None = None) -> float:
        """The fraction of all examples that are robust to an attack; see `row`."""
        return self.row(attack, epsilon, norm)["accuracy"]

    def row(self, attack: str, epsilon: float | None = None, norm: str | None = None) -> Row:
        """Returns a row of the table.

        Args:
            attack: a name, "clean", "worst" for the worst case over all attacks, or "certified".
            epsilon: needed if there are several; None for the only one, or for any distance.
            norm: needed if there are several.

        Raises:
            InputError: if there is no such row, or more than one.
        """
        attack = checked("attack", attack, str)
        norm = None if norm is None else checked("norm", norm, str)
        epsilon = None if epsilon is None else checked("epsilon", epsilon, float, minimum=0)
        rows = self.rows()
        named = [row for row in rows if row["attack"] == attack]
        if attack != "clean":
            named = [row for row in named if norm in (None, row["norm"])]
            whole = [row for row in named if row["epsilon"] is None]
            if epsilon is not None:
                named = [row for row in named if _is_close(row["epsilon"], epsilon)]
            elif len(named) > 1:
                named = whole
        if len(named) != 1:
            names = [(row["attack"], row["epsilon"], row["norm"]) for row in rows]
            told = f"attack={attack}, epsilon={epsilon}" + (f", norm={norm}" if norm else "")
            raise InputError(f"{told}: must be one of {names}")
        return named[0]

    def worst(self, norm: str, epsilon: float) -> np.ndarray:
        """Which examples are robust to all attacks in one ball: bool [n].

        Raises:
            InputError: if no attack was run in it.
        """
        norm, epsilon = checked("norm", norm, str), checked("epsilon", epsilon, float, minimum=0)
        own = [o for o in self.outcomes if o.norm == norm and _is_close(o.epsilon, epsilon)]
        if not own:
            balls = list(dict.fromkeys((o.norm, o.epsilon) for o in self.outcomes))
            raise InputError(f"norm={norm}, epsilon={epsilon:g}: must be one of {balls}")
        stands = [outcome.stands for outcome in own]
        return np.logical_and.reduce([self.right, *stands])

    def rows(self) -> list[Row]:
        """The table: clean, each attack, per epsilon the worst case and what is certified.

        See `COLUMNS` for the columns.
        """
        expected, error = _expected(self.judged)
        rows = [self._row("clean", self.right, expected=expected, standard_error=error)]
        for outcome in self.outcomes:
            tried = outcome.tried
            expected, error = _expected(outcome.judged)
            rows.append(
                self._row(
                    outcome.attack,
                    outcome.stands,
                    norm=outcome.norm,
                    epsilon=outcome.epsilon,
                    expected=expected,
                    standard_error=error,
                    distance=float(outcome.distance[tried].mean()) if tried.any() else None,
                    queries=float(outcome.queries[tried].mean()) if tried.any() else 0.0,
                    seconds=float(outcome.seconds.sum()),
                )
            )
        for norm, epsilon in dict.fromkeys((o.norm, o.epsilon) for o in self.outcomes):
            if epsilon is not None:
                stands = self.worst(norm, epsilon)
                rows.append(self._row("worst", stands, norm=norm, epsilon=epsilon))
        for (norm, epsilon), safe in self.certified.items():
            rows.append(self._row("certified", safe, norm=norm, epsilon=epsilon))
        return rows

    def to_json(self) -> str:
        """Everything except the pictures, as JSON."""
        examples = [
            {"attack": o.attack, "epsilon": o.epsilon}
            | {key: getattr(o, key).tolist() for key in _OF_EXAMPLES}
            for o in self.outcomes
        ]
        content = {
            "model": self.model,
            "rows": self.rows(),
            "warnings": self.warnings,
            "checks": [check.as_json() for check in self.checks],
            "labels": self.labels.tolist(),
            "predictions": self.predictions.tolist(),
            "examples": examples,
        }
        return json.dumps(content) + "\n"

    def to_csv(self) -> str:
        """The table as CSV."""
        return csv_table(COLUMNS, self.rows())

    def to_markdown(self) -> str:
        """The table in percent with intervals, and the warnings."""
        lines = [*markdown_table(self._table(), left=1), "", self._size()]
        lines += [f"\n**Warning:** {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"

    def _size(self) -> str:
        """How many examples the table is of."""
        told = " Certified ones were not attacked, as no attack can fool them."
        return f"{len(self.labels)} examples.{told if self.skipped else ''}"

    def _table(self) -> list[list[str]]:
        """The cells of the table, the header first."""
        passes = self.judged.shape[1]
        over_passes = [f"over {passes} passes (%)"] if passes > 1 else []
        names = ["attack", "epsilon", "accuracy (%)", f"{100 * self.level:g} % interval"]
        names += [*over_passes, "mean distance", "queries", "seconds"]
        table = [names]
        for row in self.rows():
            interval = f"{percent(row['low'])} to {percent(row['high'])}"
            distance = "" if row["distance"] is None else f"{row['distance']:.4g} ({row['norm']})"
            cells = [
                row["attack"],
                _number(row["epsilon"], "g"),
                percent(row["accuracy"]),
                interval,
            ]
            if over_passes:
                cells.append(_with_error(row["expected"], row["standard_error"]))
            cells += [distance, _number(row["queries"], ".0f"), _number(row["seconds"], ".1f")]
            table.append(cells)
        return table

    def _row(
        self,
        attack: str,
        stands: np.ndarray,
        *,
        norm: str | None = None,
        epsilon: float | None = None,
        expected: float | None = None,
        standard_error: float | None = None,
        distance: float | None = None,
        queries: float | None = None,
        seconds: float | None = None,
    ) -> Row:
        low, high = wilson(int(stands.sum()), len(stands), self.level)
        return Row(
            attack=attack,
            norm=norm,
            epsilon=epsilon,
            accuracy=float(stands.mean()),
            low=low,
            high=high,
            expected=expected,
            standard_error=standard_error,
            distance=distance,
            queries=queries,
            seconds=seconds,
        )


def _cell(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"


def _is_close(one: float | None, other: float) -> bool:
    """Whether two epsilons are equal in float32."""
    return one is not None and math.isclose(one, other, rel_tol=1e-6)


def _expected(judged: np.ndarray) -> tuple[float, float | None]:
    """The mean accuracy over passes, and its standard error if there are several."""
    accuracies, passes = judged.mean(axis=0), judged.shape[1]
    if passes == 1:
        return float(accuracies[0]), None
    error = accuracies.std(ddof=1) / np.sqrt(passes)
    return float(accuracies.mean()), float(error)


def _with_error(mean: float | None, error: float | None) -> str:
    return "" if mean is None else percent(mean, error)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
