"""Measures of layers by step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from robust_sparse_tf.tensorboard import names
from robust_sparse_tf.tensorboard.answers import finite
from robust_sparse_tf.tensorboard.decoding import content
from robust_sparse_tf.tensorboard.questions import NotFound, Question, shown
from robust_sparse_tf.tensorboard.reading import MOST_POINTS, Log, Point, Values

DEFAULT_POINTS = 500


def answer(log: Log, question: Question) -> dict[str, Any]:
    """The measures of a run's layers and of its whole network, at up to so many steps."""
    run = question.text("run")
    most = question.whole("points", 2, MOST_POINTS, DEFAULT_POINTS)
    tags = log.tags(run)
    values, about = read(log, run, tags)
    points = thinned(values.points, most)
    tables = np.stack([point.value for point in points])  # [steps, layers + 1, measures]
    measures = about["measures"]
    return {
        "steps": [point.step for point in points],
        "layers": about["layers"],
        "sizes": about["sizes"],
        "measures": {name: finite(tables[:, :-1, at]) for at, name in enumerate(measures)},
        "network": {name: finite(tables[:, -1, at]) for at, name in enumerate(measures)},
        "notes": values.notes,
    }


def read(log: Log, run: str, tags: Any) -> tuple[Values, Mapping[str, Any]]:
    """The tables of a run, and what their rows and columns are.

    Raises:
        NotFound: where there is none that can be read.
    """
    if names.TOPOLOGY not in tags:
        raise NotFound(f"run {shown(run)} has no topology")
    series = tags[names.TOPOLOGY]
    values = log.all({run: {names.TOPOLOGY: series}})[run][names.TOPOLOGY]
    if not values.points:
        raise NotFound(f"run {shown(run)}: {'; '.join(values.notes)}")
    return values, content(names.TOPOLOGY, series.content)


def thinned(points: list[Point], most: int) -> list[Point]:
    """Up to so many points, at even distances, with the first and the last."""
    if len(points) <= most:
        return points
    places = np.linspace(0, len(points) - 1, most).round().astype(int)
    return [points[place] for place in places]
