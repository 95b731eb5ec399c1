"""Measures of layers by step."""

from typing import Any

import numpy as np

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.answers import finite
from robust_sparse_tf.tensorboard.questions import MOST_RUNS, Question
from robust_sparse_tf.tensorboard.reading import MOST_POINTS, Log, Point, Values

DEFAULT_POINTS = 500
DEFAULT_POINTS_OF_MANY = 200


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The measures of a run's layers and of its whole network, at up to so many steps."""
    run = question.text("run")
    most = question.whole("points", 2, MOST_POINTS, DEFAULT_POINTS)
    values = log.points(run, log_format.TOPOLOGY)
    points = thinned(values.points, most)
    about = points[-1].value.about
    measures = about["measures"]
    tables = np.stack([point.value.numbers for point in points])  # [steps, layers + 1, measures]
    return {
        "steps": [point.step for point in points],
        "layers": about["layers"],
        "sizes": about["sizes"],
        "measures": {name: finite(tables[:, :-1, at]) for at, name in enumerate(measures)},
        "network": {name: finite(tables[:, -1, at]) for at, name in enumerate(measures)},
        "notes": values.notes,
    }


def network(log: Log, question: Question) -> dict[str, Any]:
    """The measures of the whole networks of some runs, at up to a number of their steps."""
    most = question.whole("points", 2, MOST_POINTS, DEFAULT_POINTS_OF_MANY)
    picked = log.picked(question.texts("run", MOST_RUNS))
    tag = log_format.TOPOLOGY
    wanted = {run: {tag: tags[tag]} for run, tags in picked.items() if tag in tags}
    found = {run: values[tag] for run, values in log.some(wanted, most).items()}
    return {
        "runs": {run: _of_network(values) for run, values in found.items()},
        "missing": [run for run in picked if run not in wanted],
    }


def _of_network(values: Values) -> dict[str, Any]:
    tables = [point.value for point in values.points]
    measures = tables[-1].about["measures"] if tables else []
    rows = np.stack([table.numbers[-1] for table in tables]) if tables else np.zeros((0, 0))
    return {
        "steps": [point.step for point in values.points],
        "network": {name: finite(rows[:, at]) for at, name in enumerate(measures)},
        "notes": values.notes,
    }


def thinned(points: list[Point], most: int) -> list[Point]:
    """Up to so many points, at even distances, with the first and the last."""
    if len(points) <= most:
        return points
    places = np.linspace(0, len(points) - 1, most).round().astype(int)
    return [points[place] for place in places]
