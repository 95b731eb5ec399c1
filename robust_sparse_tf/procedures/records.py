"""Records of a run of rounds, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.accuracy import Figures
    from robust_sparse_tf.sparsity.counting import Statistics


class Measured(TypedDict, total=False):
    """The results of a run's `evaluate`; the command line has all of them, the last one optionally.

    `overfitting` has the accuracies that detect catastrophic overfitting.
    """

    validation: Figures
    test: Figures
    overfitting: dict[str, float]


class Record(Measured):
    """One evaluation, as a line of JSON.

    `round` counts from 0, and `iteration` from 1 within a round. `density` is the fraction of
    weights kept, `layers` that of each layer, and `sparsity` the result of `sparsity.statistics`.
    `train` has `fit`'s metrics since the last evaluation, or since the last stop for the hook.
    """

    round: int
    iteration: int
    density: float
    layers: dict[str, float]
    sparsity: Statistics
    train: dict[str, float]


class Standing(TypedDict):
    """The position of a run at a checkpoint; `step` counts the training steps of all rounds."""

    round: int
    iteration: int
    step: int
    records: list[Record]
