"""Lottery-ticket rewinding within one `fit`."""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.callbacks.keeper import MaskKeeper
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked, require
from robust_sparse_tf.sparsity import LayerRates, Pruner, store_masked
from robust_sparse_tf.sparsity.wrapper import strip


class Rewind(MaskKeeper):
    """Prunes after each round of epochs, and rewinds the remaining weights and the optimizer.

    "The Lottery Ticket Hypothesis" (Frankle and Carbin, 2019), section 1. After the last epoch
    nothing is pruned. Moving statistics are rewound with the weights. For models wrapped by
    `sparsify` or by tfmot's `prune_low_magnitude`.

    Args:
        round_epochs: epochs of a round, at least 1.
        pruner: prunes after a round; by default 20 % of the hidden and 10 % of the output layer.
        rewind_step: optimizer step of `fit` whose weights are rewound to; 0 for the initial ones.

    Raises:
        InputError: for numbers out of range, or a rewind step that training skips or does not reach
            in the first round.
    """

    def __init__(
        self, round_epochs: int, pruner: Pruner | None = None, rewind_step: int = 0
    ) -> None:
        super().__init__()
        self._round_epochs = checked("round_epochs", round_epochs, int, minimum=1)
        self._rewind_step = checked("rewind_step", rewind_step, int, minimum=0)
        self._pruner = LayerRates() if pruner is None else pruner
        require("pruner", self._pruner, Pruner)
        self._variables: list[tf.Variable] = []
        self._weights: list[np.ndarray] | None = None
        self._optimizer: list[np.ndarray] = []
        self._first_step = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stores the weights and the optimizer state."""
        super().on_train_begin(logs)
        self._weights, self._variables = None, strip(self._network()).weights
        self._optimizer = [v.numpy() for v in self.model.optimizer.variables()]
        self._first_step = int(self.steps())
        self._keep()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stores the weights at the rewind step."""
        self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Prunes and rewinds at the end of a round."""
        if (epoch + 1) % self._round_epochs or epoch + 1 == self.params["epochs"]:
            return
        if self._weights is None:
            raise InputError(f"rewind_step={self._rewind_step}: must be reached in the first round")
        self._pruner.prune(self._network())
        for variable, value in zip(self._variables, self._weights, strict=True):
            variable.assign(value)
        store_masked(self._network())
        for variable, value in zip(self.model.optimizer.variables(), self._optimizer, strict=True):
            variable.assign(value)

    def _keep(self) -> None:
        step = int(self.steps()) - self._first_step
        if self._weights is not None or step < self._rewind_step:
            return
        if step > self._rewind_step:
            raise InputError(
                f"rewind_step={self._rewind_step}: must be a multiple of steps_per_execution"
            )
        self._weights = [variable.numpy() for variable in self._variables]
