"""Reports of attacks, and measures, of a trained network."""

from collections.abc import Mapping, Sequence
from typing import Any

from robust_sparse_tf.evaluation.checks import Check
from robust_sparse_tf.evaluation.report import Report, Row
from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.summaries.examples import write_examples
from robust_sparse_tf.summaries.writing import write_json, write_scalars


def write_report(name: str, report: Report, step: int, *, split: str = "test") -> None:
    """Writes a report of `evaluate`: its table, warnings, checks and examples.

    The accuracies are plain scalars `<name>/<attack>` too, with `_<epsilon>` where one attack has
    several.

    Args:
        name: of the report, such as that of the ensemble.
        report: what was found.
        step: steps of training that the network has behind it.
        split: which images were attacked.
    """
    rows = report.rows()
    content = {
        "examples": len(report.labels),
        "level": report.level,
        "rows": rows,
        "warnings": report.warnings,
        "model": report.model,
    }
    _write(name, split, report.checks, content, step)
    write_scalars({f"{name}/{tag}": value for tag, value in _accuracies(rows)}, step)
    write_examples(report, step)


def write_checks(name: str, checks: Sequence[Check], step: int) -> None:
    """Writes checks that were made while training, as a report without a table."""
    warnings = [line for check in checks for line in check.warnings]
    content = {"examples": 0, "level": None, "rows": [], "warnings": warnings, "model": ""}
    _write(name, "train", checks, content, step)


def _write(
    name: str, split: str, checks: Sequence[Check], content: Mapping[str, Any], step: int
) -> None:
    shown = {"name": name, "split": split, "checks": [check.as_json() for check in checks]}
    write_json(log_format.REPORT + name, shown | dict(content), step)


def write_measures(
    name: str, numbers: Mapping[str, float], images: int, warnings: Sequence[str], step: int
) -> None:
    """Writes measures of a network, such as r_2, for the plugin and as scalars `<name>/<measure>`.

    Args:
        name: of the measurement.
        numbers: by the names of the measures.
        images: how many were measured.
        warnings: what the measurement warned of.
        step: steps of training that the network has behind it.
    """
    content = {
        "name": name,
        "images": images,
        "numbers": dict(numbers),
        "warnings": list(warnings),
    }
    write_json(log_format.MEASURES + name, content, step)
    write_scalars({f"{name}/{measure}": value for measure, value in numbers.items()}, step)


def _accuracies(rows: list[Row]) -> list[tuple[str, float]]:
    """The accuracies of a table, by names that each row has for itself."""
    names = [row["attack"] for row in rows]
    found = []
    for row in rows:
        several = names.count(row["attack"]) > 1
        suffix = f"_{_radius(row)}" if several else ""
        found.append((row["attack"] + suffix, row["accuracy"]))
    return found


def _radius(row: Row) -> str:
    return log_format.ANY if row["epsilon"] is None else f"{row['epsilon']:g}"
