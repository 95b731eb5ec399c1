"""Reports of attacks, checks of masked gradients, and measures of a run."""

from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.decoding import kind_of
from robust_sparse_tf.tensorboard.questions import Question
from robust_sparse_tf.tensorboard.reading import Log


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The reports and measures of a run, by step."""
    run = question.text("run")
    kinds = {log_format.REPORT: "reports", log_format.MEASURES: "measures"}
    tags = log.picked([run])[run]
    found = log.all({run: {tag: tags[tag] for tag in sorted(tags) if kind_of(tag) in kinds}})[run]
    told: dict[str, list[Any]] = {"reports": [], "measures": [], "notes": []}
    for tag, values in found.items():
        told[kinds[kind_of(tag)]] += [{"step": step, **value} for step, _, value in values.points]
        told["notes"] += values.notes
    return told
