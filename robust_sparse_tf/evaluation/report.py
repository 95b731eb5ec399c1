"""What an evaluation found: accuracies with intervals, examples one by one, warnings."""

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np

from robust_sparse_tf.evaluation.intervals import wilson

COLUMNS = ("attack", "norm", "epsilon", "accuracy", "low", "high", "distance", "queries", "seconds")


def reach(epsilon: float | None) -> float:
    """The largest distance that counts as within epsilon, with the rounding of float32."""
    return float("inf") if epsilon is None else epsilon * (1 + 1e-5) + 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one attack did at one epsilon.

    Attributes:
        attack: its name.
        norm: of the distances.
        epsilon: radius of the ball; None for an attack that looks for the nearest example.
        tried: bool [n], the examples that it was run on; those it was not stay as they were.
        stands: bool [n], the examples that are right after it, and after all before it where the
            attacks take turns.
        distance: float32 [n], from each example to what was made of it; 0 where it was not run.
        queries: forward passes an example that was tried, on average.
        seconds: time in all, compiling included.
    """

    attack: str
    norm: str
    epsilon: float | None
    tried: np.ndarray
    stands: np.ndarray
    distance: np.ndarray
    queries: float
    seconds: float

    def within(self, epsilon: float) -> "Outcome":
        """The same at a radius, of an attack that looks for the nearest example."""
        missed = self.stands | (self.tried & (self.distance > reach(epsilon)))
        return dataclasses.replace(self, epsilon=epsilon, stands=missed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Robustness of one model on given examples.

    Attributes:
        labels: int64 [n].
        predictions: int64 [n], of the clean examples.
        outcomes: one an attack and epsilon, in the order in which they were run.
        warnings: why the figures may say too much.
        pictures: by attack a few (label, prediction, prediction under attack, clean, adversarial).
        level: of the intervals.
    """

    labels: np.ndarray
    predictions: np.ndarray
    outcomes: list[Outcome]
    warnings: list[str]
    pictures: dict[str, list[tuple]]
    level: float = 0.95

    @property
    def right(self) -> np.ndarray:
        """Which clean examples are classified as their labels say: bool [n]."""
        return self.labels == self.predictions

    def accuracy(self, attack: str, epsilon: float | None = None) -> float:
        """The fraction that stands an attack, of all examples.

        Args:
            attack: a name, "clean", or "worst" for the worst case over all attacks.
            epsilon: needed where there are several.

        Raises:
            KeyError: when there is no such outcome.
        """
        rows = self.rows()
        found = [
            row
            for row in rows
            if row["attack"] == attack and (epsilon in (None, row["epsilon"]) or attack == "clean")
        ]
        if len(found) != 1:
            names = [(row["attack"], row["epsilon"]) for row in rows]
            raise KeyError(f"attack={attack}, epsilon={epsilon}: must be one of {names}")
        return found[0]["accuracy"]

    def worst(self, norm: str, epsilon: float) -> np.ndarray:
        """The examples that stand all attacks in one ball: bool [n]."""
        ball = (norm, epsilon)
        stands = [o.stands for o in self.outcomes if (o.norm, o.epsilon) == ball]
        return np.logical_and.reduce([self.right, *stands])

    def rows(self) -> list[dict[str, Any]]:
        """The table: clean, each attack, and for each epsilon the worst case; see `COLUMNS`."""
        rows = [self._row("clean", self.right)]
        for outcome in self.outcomes:
            tried = outcome.distance[outcome.tried]
            rows.append(
                self._row(
                    outcome.attack,
                    outcome.stands,
                    norm=outcome.norm,
                    epsilon=outcome.epsilon,
                    distance=float(tried.mean()) if tried.size else None,
                    queries=outcome.queries,
                    seconds=outcome.seconds,
                )
            )
        for norm, epsilon in dict.fromkeys((o.norm, o.epsilon) for o in self.outcomes):
            if epsilon is not None:
                stands = self.worst(norm, epsilon)
                rows.append(self._row("worst", stands, norm=norm, epsilon=epsilon))
        return rows

    def to_json(self) -> str:
        """Everything but the pictures."""
        examples = [
            {"attack": o.attack, "epsilon": o.epsilon}
            | {key: getattr(o, key).tolist() for key in ("tried", "stands", "distance")}
            for o in self.outcomes
        ]
        content = {
            "rows": self.rows(),
            "warnings": self.warnings,
            "labels": self.labels.tolist(),
            "predictions": self.predictions.tolist(),
            "examples": examples,
        }
        return json.dumps(content) + "\n"

    def to_csv(self) -> str:
        """The table, one line a row."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return text.getvalue()

    def to_markdown(self) -> str:
        """The table in percent with its intervals, and the warnings."""
        lines = [
            f"| attack | epsilon | accuracy (%) | {100 * self.level:g} % interval | "
            "mean distance | queries | seconds |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in self.rows():
            interval = f"{100 * row['low']:.2f} to {100 * row['high']:.2f}"
            distance = "" if row["distance"] is None else f"{row['distance']:.4g} ({row['norm']})"
            numbers = [
                "" if row[key] is None else f"{row[key]:{form}}"
                for key, form in (("epsilon", "g"), ("queries", ".0f"), ("seconds", ".1f"))
            ]
            cells = [row["attack"], numbers[0], f"{100 * row['accuracy']:.2f}", interval]
            lines.append("| " + " | ".join([*cells, distance, *numbers[1:]]) + " |")
        lines += ["", f"{len(self.labels)} examples."]
        lines += [f"\n**Warning:** {warning}" for warning in self.warnings]
        return "\n".join(lines) + "\n"

    def _row(self, attack: str, stands: np.ndarray, **values: Any) -> dict[str, Any]:
        low, high = wilson(int(stands.sum()), len(stands), self.level)
        found = {"attack": attack, "accuracy": float(stands.mean()), "low": low, "high": high}
        return {name: None for name in COLUMNS} | found | values
