"""Accuracies of runs by step."""

from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.questions import Question, chosen
from robust_sparse_tf.tensorboard.reading import Log

MOST_RUNS = 200


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The records of some runs."""
    asked = question.texts("run", MOST_RUNS)
    runs = log.runs()
    for run in asked:
        chosen("run", run, sorted(runs))
    wanted = {run: _wanted(runs[run]) for run in asked if log_format.ACCURACY in runs[run]}
    found = log.all(wanted)
    return {
        "runs": {run: _records(values) for run, values in found.items()},
        "missing": [run for run in asked if run not in wanted],
    }


def _wanted(tags: Any) -> dict[str, Any]:
    return {tag: tags[tag] for tag in (log_format.RUN, log_format.ACCURACY) if tag in tags}


def _records(values: Any) -> dict[str, Any]:
    info = values[log_format.RUN].points if log_format.RUN in values else []
    accuracy = values[log_format.ACCURACY]
    return {
        "first_step": info[-1].value["first_step"] if info else 0,
        "records": [{"tb_step": point.step, **point.value} for point in accuracy.points],
        "notes": accuracy.notes,
    }
