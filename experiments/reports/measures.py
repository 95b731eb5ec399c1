"""Results of a sweep's `--measure` for the rounds of its cells."""

import os
from collections.abc import Sequence

from experiments.evaluations import stored
from experiments.evaluations.follow_up import Measurement
from experiments.sweeps.directory import Cell
from robust_sparse_tf.errors import InputError

# Measures with their own number of images, and its option.
_OWN_IMAGES = {
    "carlini_wagner": "cw_examples",
    "clever": "clever_examples",
    "lipschitz": "lipschitz_examples",
    "gamma": "lipschitz_examples",
}


Measured = Sequence[tuple[int, stored.Measures]]
"""The measures of a run, with their rounds."""


def of_run(run: str, measurements: Sequence[Measurement]) -> Measured:
    """The measured rounds of each measurement, in order.

    Args:
        run: directory of the run.
        measurements: measurements of the sweep.
    """
    found = []
    for measurement in measurements:
        for path in filter(os.path.exists, measurement.files(run)):
            folder = os.path.dirname(path)
            try:
                own = stored.read_measures(path)
            except InputError as error:
                stored.warn_left_out(path, str(error))
                continue
            if measurement.is_current(path, own.model, folder):
                found.append((int(os.path.basename(folder)), own))
            else:
                stored.warn_left_out(path, "it belongs to another network than the current one")
    return found


def of_cells(cells: Sequence[Cell], measurements: Sequence[Measurement]) -> dict[str, Measured]:
    """The measures of `of_run`, by cell name."""
    return {cell.name: of_run(cell.path, measurements) for cell in cells}


def of_rounds(measured: Measured) -> dict[int, dict[str, float]]:
    """Numbers by measure name, per round, over all measurements."""
    found: dict[int, dict[str, float]] = {}
    for number, measures in measured:
        found.setdefault(number, {}).update(measures.numbers)
    return dict(sorted(found.items()))


def usefulness(measured: Measured) -> dict[int, stored.Usefulness]:
    """The usefulness of features, by measured round."""
    return {number: own.usefulness for number, own in measured if own.usefulness}


def images(measurements: Sequence[Measurement]) -> str:
    """A sentence with the number of test images of each measure."""
    counts: dict[int, list[str]] = {}
    for options in (each.options for each in measurements):
        for name in options.measures:
            own = getattr(options, _OWN_IMAGES.get(name, "examples"))
            counts.setdefault(own, []).append(name)
    words = [f"{count:,}" if count else "all" for count in counts]
    parts = [f"{word} ({', '.join(own)})" for word, own in zip(words, counts.values(), strict=True)]
    return f"Measured on the first test images: {'; '.join(parts)}." if parts else ""


def warnings(measured: Measured) -> list[str]:
    """Warnings and missing measures of a run's rounds, round by round."""
    found = []
    for _, measures in measured:
        found += measures.warnings
        found += [f"{name} not measured: {why}" for name, why in measures.missing.items()]
    return found
