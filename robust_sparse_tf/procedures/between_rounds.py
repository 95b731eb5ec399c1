"""Base of hooks that act between the rounds of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split


class BetweenRounds:
    """Base of hooks of `Rounds.run`, which act between rounds; this one does nothing."""

    stops: tuple[int, ...] = ()
    """Iterations of each round after which training pauses for `on_stop`."""

    def on_stop(self, number: int, iteration: int) -> None:
        """Called when training pauses, after an iteration (from 1) of a round (from 0)."""
        del number, iteration

    def start_round(self, number: int, train: Split) -> None:
        """Prepares the model for a round, from 1, after the optimizer is reset.

        Args:
            number: the round that starts.
            train: the training images.
        """
        del number, train

    def enter(self, number: int) -> None:
        """Sets what a round (from 0) trains with: at its beginning, and where it is resumed."""
        del number

    def state(self) -> list[np.ndarray]:
        """The arrays of the hook that a checkpoint must keep."""
        return []

    def fits(self, state: Sequence[np.ndarray]) -> bool:
        """Whether `restore` accepts a state; by default it accepts any."""
        del state
        return True

    def restore(self, state: list[np.ndarray]) -> None:
        """Restores the arrays of `state`."""
        del state
