"""What a run of rounds measures and keeps, as JSON holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.accuracy import Figures
    from robust_sparse_tf.sparsity.counting import Statistics


class Measured(TypedDict, total=False):
    """What a run's `evaluate` says of the model: those of the command line all but the last.

    `overfitting` has the accuracies by which catastrophic overfitting is told.
    """

    validation: Figures
    test: Figures
    overfitting: dict[str, float]


class Record(Measured):
    """One evaluation, as a line of JSON holds it.

    `round` counts from 0, `iteration` within it from 1. `density` is the fraction of weights kept,
    `layers` that of each layer, `sparsity` what `sparsity.statistics` says. `train` has `fit`'s
    metrics since the last evaluation, or since the last stop that the hook asked for.
    """

    round: int
    iteration: int
    density: float
    layers: dict[str, float]
    sparsity: Statistics
    train: dict[str, float]


class Standing(TypedDict):
    """Where a run stands at a checkpoint: `step` counts training steps of all rounds."""

    round: int
    iteration: int
    step: int
    records: list[Record]
