"""Measures of layers by step."""

from typing import Any

import numpy as np

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.answers import finite
from robust_sparse_tf.tensorboard.questions import Question
from robust_sparse_tf.tensorboard.reading import MOST_POINTS, Log, Point

DEFAULT_POINTS = 500


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


def thinned(points: list[Point], most: int) -> list[Point]:
    """Up to so many points, at even distances, with the first and the last."""
    if len(points) <= most:
        return points
    places = np.linspace(0, len(points) - 1, most).round().astype(int)
    return [points[place] for place in places]
