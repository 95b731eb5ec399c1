"""Accuracies of runs by step."""

from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.questions import MOST_RUNS, Question
from robust_sparse_tf.tensorboard.reading import Log


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The records of some runs."""
    picked = log.picked(question.texts("run", MOST_RUNS))
    wanted = {run: _wanted(tags) for run, tags in picked.items() if log_format.ACCURACY in tags}
    found = log.all(wanted)
    return {
        "runs": {run: _records(values) for run, values in found.items()},
        "missing": [run for run in picked if run not in wanted],
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
