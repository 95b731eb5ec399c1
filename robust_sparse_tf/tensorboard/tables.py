"""All runs of a log in one table, as CSV."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.decoding import Table
from robust_sparse_tf.tensorboard.questions import Question, absent, chosen
from robust_sparse_tf.tensorboard.reading import Log, Point, Tags
from robust_sparse_tf.tensorboard.runs import described
from robust_sparse_tf.tensorboard.topology import thinned
from robust_sparse_tf.texts import csv_table

MOST_ROWS = 200_000
"""Lines of a table of layers; with more of them, each run has fewer steps."""

WHOLE = "(network)"
"""Stands for the layer where a line is of the whole network."""

KINDS = ("runs", "accuracy", "topology")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OF_RUN = (
    *("run", "group", "label", "name", "round", "method", "asked_density", "attack", "seed"),
    *("step", "density", "active", "multiply_accumulates", "flops", "bytes", "tflite_bytes"),
    *("latency_ms", "split", "clean"),
)
_OF_FIGURE = (
    *("run", "tb_step", "round", "step", "phase", "split", "attack", "norm", "epsilon"),
    *("metric", "value"),
)
_OF_LAYER = ("run", "step", "layer", "size", "value")

Row = dict[str, Any]


def answer(log: Log, question: Question) -> tuple[str, str]:
    """The name of a table, and its text."""
    kind = chosen("kind", question.text("kind"), KINDS)
    if kind == "topology":
        measure = question.text("measure")
        return f"topology_{_plain(measure)}", _csv(_OF_LAYER, _layers(log, measure))
    if kind == "accuracy":
        return kind, _csv(_OF_FIGURE, list(_figures(log)))
    runs = log.runs()
    rows = [_run(run) for run in described(log, runs, sorted(runs))]
    more = {column for row in rows for column in row} - {*_OF_RUN}
    return kind, _csv((*_OF_RUN, *sorted(more)), rows)


def _plain(text: str) -> str:
    """A name as a file may have it."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in text)


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    titles = {column: _cell(column) for column in columns}
    safe = ({titles[name]: _cell(value) for name, value in row.items()} for row in rows)
    return csv_table(list(titles.values()), safe)


def _cell(value: Any) -> Any:
    """The same, with a quote before text that a spreadsheet would take for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA) and value != "-Infinity":
        return "'" + value
    return value


def _run(run: Row) -> Row:
    """A run's line: what is a table of its own becomes columns."""
    more = {f"robust {attack}": value for attack, value in run["robust"].items()}
    more |= {f"measured {name}": value for name, value in run["numbers"].items()}
    more |= {f"hparam {name}": value for name, value in run["hparams"].items()}
    for report in run["reports"]:
        attacks = {"clean": [], "worst": report["worst"]} | report["attacks"]
        more[f"{report['name']} clean"] = report["clean"]
        for attack, rows in attacks.items():
            more |= {_title(report["name"], attack, row): row["accuracy"] for row in rows}
    more["failed checks"] = " ".join(run["checks"]["failed"])
    return {name: run[name] for name in _OF_RUN} | more


def _title(report: str, attack: str, row: Row) -> str:
    words = (report, attack, row["norm"], row["epsilon"])
    return " ".join(str(word) for word in words if word is not None)


def _figures(log: Log) -> Iterator[Row]:
    """A line for each number of each record of accuracies."""
    for run, tags in sorted(log.runs().items()):
        for step, _, record in _points(log, run, tags, log_format.ACCURACY):
            about = {name: record[name] for name in ("round", "step", "phase")}
            for split, values in record["splits"].items():
                for row in _of_split(split, values or {}, record["attacks"]):
                    yield {"run": run, "tb_step": step, "split": split} | about | row


def _of_split(split: str, values: Mapping[str, Any], attacks: Mapping[str, Any]) -> Iterator[Row]:
    if split == "train":
        yield from ({"metric": metric, "value": value} for metric, value in values.items())
        return
    for metric in ("accuracy", "loss") if values else ():
        yield {"attack": "clean", "metric": metric, "value": values[f"clean_{metric}"]}
        for attack, value in values[f"robust_{metric}"].items():
            threat = attacks.get(attack, {})
            known = {name: threat.get(name) for name in ("norm", "epsilon")}
            yield {"attack": attack, "metric": metric, "value": value} | known


def _layers(log: Log, measure: str) -> list[Row]:
    """A line for each layer of each run at each step, and one for the whole network."""
    runs = {run: tags for run, tags in sorted(log.runs().items()) if log_format.TOPOLOGY in tags}
    rows: list[Row] = []
    known: set[str] = set()
    for run, tags in runs.items():
        points = _points(log, run, tags, log_format.TOPOLOGY)
        for point in thinned(points, _fitting(points, len(runs))):
            known.update(point.value.about["measures"])
            rows += [{"run": run, "step": point.step} | row for row in _rows(point.value, measure)]
    if measure not in known:
        raise absent("measure", measure, sorted(known))
    return rows


def _fitting(points: Sequence[Any], runs: int) -> int:
    """How many points of a run are shown, so that the table is not too long."""
    lines = len(points[0].value.numbers) if points else 1
    return max(2, MOST_ROWS // (runs * lines))


def _rows(table: Table, measure: str) -> Iterator[Row]:
    measures = table.about["measures"]
    if measure not in measures:
        return
    numbers = table.numbers[:, measures.index(measure)].tolist()
    layers = [*table.about["layers"], WHOLE]
    sizes = [*table.about["sizes"], None]
    for layer, size, value in zip(layers, sizes, numbers, strict=True):
        yield {"layer": layer, "size": size, "value": log_format.finite(value)}


def _points(log: Log, run: str, tags: Tags, tag: str) -> list[Point]:
    """The readable values of a tag."""
    wanted = {tag: tags[tag]} if tag in tags else {}
    return log.all({run: wanted})[run][tag].points if wanted else []
