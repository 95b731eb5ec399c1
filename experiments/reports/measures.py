"""What a sweep's `--measure` found of the rounds of its cells."""

import json
import os
from typing import Any

from experiments.evaluations.follow_up import measurement

# Measures that have a number of images of their own, and the option that gives it.
_OWN_IMAGES = {
    "carlini_wagner": "cw_examples",
    "clever": "clever_examples",
    "lipschitz": "lipschitz_examples",
}


def of_rounds(run: str, texts: list[str]) -> dict[int, dict[str, float]]:
    """The measures of each round of a run that has any, of all measurements together.

    Args:
        run: its directory.
        texts: see `follow_up.measurement`.
    """
    found: dict[int, dict[str, float]] = {}
    for text in texts:
        for path in measurement(text).files(run):
            if os.path.exists(path):
                found.setdefault(_round(path), {}).update(_read(path)["measures"])
    return dict(sorted(found.items()))


def images(texts: list[str]) -> str:
    """A sentence that says of how many test images each measure is."""
    counts: dict[int, list[str]] = {}
    for text in texts:
        options = measurement(text).options
        for name in options.measures:
            own = getattr(options, _OWN_IMAGES.get(name, "examples"))
            counts.setdefault(own, []).append(name)
    words = [f"{count:,}" if count else "all" for count in counts]
    parts = [f"{word} ({', '.join(own)})" for word, own in zip(words, counts.values(), strict=True)]
    return f"Measured on the first test images: {'; '.join(parts)}." if parts else ""


def warnings(run: str, texts: list[str]) -> list[str]:
    """What the measurements of a run's rounds warned of, and could not take, round by round."""
    found = []
    for text in texts:
        for path in filter(os.path.exists, measurement(text).files(run)):
            content = _read(path)
            found += content["warnings"]
            found += [f"{name} not measured: {why}" for name, why in content["missing"].items()]
    return found


def _round(path: str) -> int:
    return int(os.path.basename(os.path.dirname(path)))


def _read(path: str) -> dict[str, Any]:
    with open(path) as file:
        return json.load(file)
