"""What a sweep's `--measure` found of the rounds of its cells."""

import json
import os
from typing import Any

from experiments import follow_up, measure


def parse(text: str) -> measure.MeasureOptions:
    """The options of one of the sweep's `--measure`, as "--measures=clever --rounds=0,8".

    Raises:
        InputError: for what `experiments.measure` would refuse, and for a model.
    """
    return follow_up.parse("measure", text, measure.parse)


def of_rounds(run: str, texts: list[str]) -> dict[int, dict[str, float]]:
    """The measures of each round of a run that has any, of all measurements together.

    Args:
        run: its directory.
        texts: see `parse`.
    """
    found: dict[int, dict[str, float]] = {}
    for text in texts:
        for path in measure.paths(run, parse(text)):
            if os.path.exists(path):
                found.setdefault(_round(path), {}).update(_read(path)["measures"])
    return dict(sorted(found.items()))


def warnings(run: str, texts: list[str]) -> list[str]:
    """What the measurements of a run's rounds warned of, round by round."""
    return [
        warning
        for text in texts
        for path in filter(os.path.exists, measure.paths(run, parse(text)))
        for warning in _read(path)["warnings"]
    ]


def _round(path: str) -> int:
    return int(os.path.basename(os.path.dirname(path)))


def _read(path: str) -> dict[str, Any]:
    with open(path) as file:
        return json.load(file)
