"""Masks of layers as images, and what of a network's input they keep."""

from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.answers import finite
from robust_sparse_tf.tensorboard.decoding import content, kind_of
from robust_sparse_tf.tensorboard.questions import LAST_STEP, Question
from robust_sparse_tf.tensorboard.reading import Log, Point, Tags
from robust_sparse_tf.tensorboard.shapes import Damage


def layers(log: Log, question: Question) -> dict[str, Any]:
    """The layers of a run that have masks, and at which steps."""
    run = question.text("run")
    tags = log.picked([run])[run]
    wanted = {tag: tags[tag] for tag in _in_order(tags)}
    found = log.all({run: wanted})[run]
    described = []
    notes = []
    for tag in wanted:
        notes += found[tag].notes
        if found[tag].points:
            described.append(_layer(tag, tags, found[tag].points))
    return {"layers": described, "notes": notes}


def image(log: Log, question: Question) -> bytes:
    """A layer's mask at a step: PNG."""
    return _at_step(log, question, log_format.MASKS).value


def inputs(log: Log, question: Question) -> dict[str, Any]:
    """The fraction of weights that a first layer's mask keeps at each position of the input."""
    values = _at_step(log, question, log_format.INPUTS).value
    return {"shape": list(values.shape), "values": finite(values.ravel())}


def _in_order(tags: Tags) -> list[str]:
    """The tags of masks, in the order of the network where it is known."""
    found = sorted(tag for tag in tags if kind_of(tag) == log_format.MASKS)
    try:
        layers = content(log_format.TOPOLOGY, tags[log_format.TOPOLOGY].content)["layers"]
    except (KeyError, Damage):
        return found
    places = {log_format.MASKS + layer: place for place, layer in enumerate(layers)}
    return sorted(found, key=lambda tag: places.get(tag, len(places)))


def _layer(tag: str, tags: Tags, points: list[Point]) -> dict[str, Any]:
    layer = tag.removeprefix(log_format.MASKS)
    about = content(log_format.MASKS, tags[tag].content)
    return {
        "layer": layer,
        **{name: about[name] for name in ("shape", "kernel", "block")},
        "steps": [point.step for point in points],
        "has_inputs": log_format.INPUTS + layer in tags,
    }


def _at_step(log: Log, question: Question, kind: str) -> Point:
    run, layer = question.text("run"), question.text("layer")
    return log.at(run, kind + layer, question.whole("step", 0, LAST_STEP))
