"""Reports of attacks, checks of masked gradients, and measures of runs."""

from collections.abc import Mapping
from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.decoding import kind_of
from robust_sparse_tf.tensorboard.questions import MOST_RUNS, Question
from robust_sparse_tf.tensorboard.reading import Log, Values

_KINDS = {log_format.REPORT: "reports", log_format.MEASURES: "measures"}


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The reports and measures of some runs, by step."""
    picked = log.picked(question.texts("run", MOST_RUNS))
    wanted = {
        run: {tag: tags[tag] for tag in sorted(tags) if kind_of(tag) in _KINDS}
        for run, tags in picked.items()
    }
    found = log.all(wanted)
    return {"runs": {run: _of_run(found[run]) for run in picked}}


def _of_run(found: Mapping[str, Values]) -> dict[str, list[Any]]:
    told: dict[str, list[Any]] = {"reports": [], "measures": [], "notes": []}
    for tag, values in found.items():
        told[_KINDS[kind_of(tag)]] += [{"step": step, **value} for step, _, value in values.points]
        told["notes"] += values.notes
    return told
