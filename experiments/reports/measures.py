"""What a sweep's `--measure` found of the rounds of its cells."""

import os
from collections.abc import Iterator, Sequence

from experiments.evaluations import stored
from experiments.evaluations.follow_up import Measurement
from robust_sparse_tf.errors import InputError

# Measures that have a number of images of their own, and the option that gives it.
_OWN_IMAGES = {
    "carlini_wagner": "cw_examples",
    "clever": "clever_examples",
    "lipschitz": "lipschitz_examples",
}


def of_rounds(run: str, measurements: Sequence[Measurement]) -> dict[int, dict[str, float]]:
    """The measures of each round of a run that has any, of all measurements together.

    Args:
        run: its directory.
        measurements: of the sweep.

    Returns:
        By round the numbers by the names of the measures.
    """
    found: dict[int, dict[str, float]] = {}
    for number, measures in _stored(run, measurements):
        found.setdefault(number, {}).update(measures.numbers)
    return dict(sorted(found.items()))


def usefulness(run: str, measurements: Sequence[Measurement]) -> dict[int, stored.Usefulness]:
    """The usefulness of features by the rounds of which it was measured; see `of_rounds`."""
    return {
        number: measures.usefulness
        for number, measures in _stored(run, measurements)
        if measures.usefulness
    }


def images(measurements: Sequence[Measurement]) -> str:
    """A sentence that says of how many test images each measure is."""
    counts: dict[int, list[str]] = {}
    for options in (each.options for each in measurements):
        for name in options.measures:
            own = getattr(options, _OWN_IMAGES.get(name, "examples"))
            counts.setdefault(own, []).append(name)
    words = [f"{count:,}" if count else "all" for count in counts]
    parts = [f"{word} ({', '.join(own)})" for word, own in zip(words, counts.values(), strict=True)]
    return f"Measured on the first test images: {'; '.join(parts)}." if parts else ""


def warnings(run: str, measurements: Sequence[Measurement]) -> list[str]:
    """What the measurements of a run's rounds warned of, and could not take, round by round."""
    found = []
    for _, measures in _stored(run, measurements):
        found += measures.warnings
        found += [f"{name} not measured: {why}" for name, why in measures.missing.items()]
    return found


def _stored(run: str, measurements: Sequence[Measurement]) -> Iterator[tuple[int, stored.Measures]]:
    """The rounds of each measurement that are measured, in their order."""
    for measurement in measurements:
        for path in filter(os.path.exists, measurement.files(run)):
            folder = os.path.dirname(path)
            try:
                found = stored.read_measures(path)
            except InputError as error:
                stored.warn_left_out(path, str(error))
                continue
            if measurement.is_of(path, folder):
                yield int(os.path.basename(folder)), found
            else:
                stored.warn_left_out(path, "it is of another network than the one there now")
