"""Images before and after attacks."""

from typing import Any

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.decoding import kind_of
from robust_sparse_tf.tensorboard.questions import (
    LAST_STEP,
    NotFound,
    Question,
    absent,
    chosen,
    shown,
)
from robust_sparse_tf.tensorboard.reading import Log

PARTS = ("clean", "adversarial", "difference")


def sets(log: Log, question: Question) -> dict[str, Any]:
    """The known images of a run, by attack, epsilon and step."""
    run = question.text("run")
    tags = log.picked([run])[run]
    wanted = {tag: tags[tag] for tag in sorted(tags) if kind_of(tag) == log_format.EXAMPLES}
    found = log.all({run: wanted})[run]
    return {
        "sets": [
            {"tag": tag, "step": step, **value.about}
            for tag, values in found.items()
            for step, _, value in values.points
        ],
        "notes": [note for values in found.values() for note in values.notes],
    }


def image(log: Log, question: Question) -> bytes:
    """One image of a set: PNG."""
    run, tag, part = (question.text(name) for name in ("run", "tag", "part"))
    if kind_of(tag) != log_format.EXAMPLES:
        raise NotFound(f"tag {shown(tag)} has no examples")
    number = question.whole("image", 0, 10**6)
    place = PARTS.index(chosen("part", part, PARTS))
    images = log.at(run, tag, question.whole("step", 0, LAST_STEP)).value.images
    if 3 * number >= len(images):
        raise absent("image", number, range(len(images) // 3))
    return images[3 * number + place]
