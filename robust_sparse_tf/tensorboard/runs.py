"""The known facts about each run: its training, its results, and what cannot be read."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.decoding import Table, kind_of
from robust_sparse_tf.tensorboard.naming import group_of, labels
from robust_sparse_tf.tensorboard.questions import Question
from robust_sparse_tf.tensorboard.reading import Log, Tags, Values

DEFAULT_LIMIT = 200
LIMIT = 500
"""Runs of an answer."""

NOTHING = (
    "No run here was logged for this page. Train with the callbacks rst.callbacks.SparsityLog and "
    "rst.callbacks.RobustnessLog, or with the commands of experiments."
)

_READ = (
    log_format.RUN,
    log_format.TOPOLOGY,
    log_format.ACCURACY,
    log_format.REPORT,
    log_format.MEASURES,
    log_format.EXPORT,
)
_HAS = (
    log_format.TOPOLOGY,
    log_format.MASKS,
    log_format.INPUTS,
    log_format.ACCURACY,
    log_format.REPORT,
    log_format.EXAMPLES,
)
_OF_NETWORK = ("density", "active", "multiply_accumulates", "flops", "bytes")


def answer(log: Log, question: Question) -> dict[str, Any]:
    """A page of runs."""
    offset = question.whole("offset", 0, 10**9, 0)
    limit = question.whole("limit", 1, LIMIT, DEFAULT_LIMIT)
    runs = log.runs()
    return {
        "version": log_format.VERSION,
        "total": len(runs),
        "message": "" if runs else NOTHING,
        "runs": described(log, runs, sorted(runs)[offset : offset + limit]),
    }


def described(log: Log, runs: Mapping[str, Tags], shown: Sequence[str]) -> list[dict[str, Any]]:
    """Some of the runs of a log."""
    wanted = {
        run: {tag: series for tag, series in runs[run].items() if kind_of(tag) in _READ}
        for run in shown
    }
    last = log.last(wanted)
    short = labels(runs)
    return [
        {"run": run, "group": group_of(run), "label": short[run]} | _described(runs[run], last[run])
        for run in shown
    ]


def _described(tags: Tags, last: Mapping[str, Values]) -> dict[str, Any]:
    found = {tag: values.points[0].value for tag, values in last.items() if values.points}
    return {
        **_identity(found.get(log_format.RUN)),
        "step": max(series.step for series in tags.values()),
        "time": log_format.finite(max(series.time for series in tags.values())),
        **_network(found.get(log_format.TOPOLOGY)),
        **_export(found.get(log_format.EXPORT)),
        **_accuracy(found.get(log_format.ACCURACY)),
        "reports": [_report(report) for report in _of_kind(found, log_format.REPORT)],
        "numbers": _numbers(_of_kind(found, log_format.MEASURES)),
        "checks": _checks(_of_kind(found, log_format.REPORT)),
        "has": [kind.rstrip("/") for kind in _HAS if kind in map(kind_of, tags)],
        "notes": [note for values in last.values() for note in values.notes],
    }


def _of_kind(found: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [found[tag] for tag in sorted(found) if kind_of(tag) == kind]


def _identity(info: dict[str, Any] | None) -> dict[str, Any]:
    known = info or {"first_step": 0, "hparams": {}, "classes": []}
    return {
        "name": known.get("name"),
        "round": known.get("round"),
        "first_step": known["first_step"],
        "method": known.get("method"),
        "asked_density": known.get("density"),
        "attack": known.get("attack"),
        "seed": known.get("seed"),
        "hparams": known["hparams"],
        "classes": known["classes"],
    }


def _network(table: Table | None) -> dict[str, Any]:
    """The known measures of the whole network; the log has NaN for unknown ones."""
    found = table.of_network() if table else {}
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    return {name: log_format.finite(known[name]) if name in known else None for name in _OF_NETWORK}


def _export(export: dict[str, Any] | None) -> dict[str, Any]:
    known = export or {}
    return {name: known.get(name) for name in ("tflite_bytes", "latency_ms")}


def _accuracy(record: dict[str, Any] | None) -> dict[str, Any]:
    splits = record["splits"] if record else {}
    for split in ("test", "validation"):
        if figures := splits.get(split):
            robust = figures["robust_accuracy"]
            return {"clean": figures["clean_accuracy"], "robust": robust, "split": split}
    return {"clean": None, "robust": {}, "split": None}


def _report(report: dict[str, Any]) -> dict[str, Any]:
    rows = [(row["attack"], _short(row)) for row in report["rows"]]
    attacks: dict[str, list[dict[str, Any]]] = {}
    for attack, row in rows:
        if attack not in ("clean", "worst"):
            attacks.setdefault(attack, []).append(row)
    return {
        "name": report["name"],
        "clean": next((row["accuracy"] for attack, row in rows if attack == "clean"), None),
        "worst": [row for attack, row in rows if attack == "worst"],
        "attacks": attacks,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("norm", "epsilon", "accuracy", "low", "high")}


def _numbers(measures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return dict(itertools.chain.from_iterable(each["numbers"].items() for each in measures))


def _checks(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    checks = [check for report in reports for check in report["checks"]]
    status = [check["status"] for check in checks]
    return {
        "failed": [check["name"] for check in checks if check["status"] == "failed"],
        "passed": status.count("passed"),
        "not_run": status.count("not run"),
    }
