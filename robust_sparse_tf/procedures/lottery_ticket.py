"""Iterative magnitude pruning with rewinding: the lottery-ticket procedure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked, option, require
from robust_sparse_tf.procedures.between_rounds import BetweenRounds
from robust_sparse_tf.procedures.feature_pruning import FeaturePruning
from robust_sparse_tf.procedures.records import Measured, Record
from robust_sparse_tf.procedures.rounds import Rounds, check_model
from robust_sparse_tf.sparsity import LayerRates, Pruner

with epy.lazy_imports():
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split
    from robust_sparse_tf.training import AdversarialModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class LotteryTicket(Rounds):
    """Repeatedly trains, prunes the smallest weights of each layer, and rewinds the rest.

    "The Lottery Ticket Hypothesis" (Frankle and Carbin, 2019), section 1; late rewinding from
    "Linear Mode Connectivity and the Lottery Ticket Hypothesis" (Frankle et al., 2020); under
    attack in "The Search for Sparse, Robust Neural Networks" (2019). `Rounds` runs the trainings,
    each with a new optimizer.
    """

    strategy: str = option(
        "original",
        "initial weights of a round: rewound, newly drawn, or continued",
        choices=("original", "random", "continued"),
    )
    rewind_to: str = option(
        "initial",
        "where 'original' rewinds to: the weights at --rewind_step, or those at the end of the "
        "first, dense training",
        choices=("initial", "trained_dense"),
    )
    rewind_step: int = option(
        0, "iteration of the first round that 'original' rewinds to", unit="iterations", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rewind_step > self.length(0):
            raise InputError(
                f"rewind_step={self.rewind_step}: must be at most {self.length(0)}, the first "
                "round's iterations"
            )
        if self.rewind_step and self.rewind_to == "trained_dense":
            raise InputError(
                f"rewind_step={self.rewind_step}: must be 0 with rewind_to=trained_dense"
            )

    def run(
        self,
        model: AdversarialModel,
        train: Split,
        evaluate: Callable[[], Measured],
        *,
        pruner: Pruner | FeaturePruning | None = None,
        seed: int = 0,
        **arguments: Any,
    ) -> list[Record]:
        """Trains all rounds and prunes between them; see `Rounds.run`.

        Args:
            model: compiled, on a network from `sparsify`.
            train: the training images.
            evaluate: measures the model; its results become part of the record.
            pruner: prunes after each round; by default `LayerRates()`.
            seed: seed of newly drawn weights.
            **arguments: the arguments of `Rounds.run` except `between`.

        Returns:
            One record per evaluation.

        Raises:
            InputError: for a model that is not compiled, and arguments of other kinds.
            TrainingError: at the first loss that is not finite.
        """
        check_model(model)
        if pruner is not None:
            require("pruner", pruner, Pruner, FeaturePruning)
        seed = checked("seed", seed, int, minimum=0)
        between = _PruneAndRewind(self, model, pruner or LayerRates(), seed)
        return super().run(model, train, evaluate, between=between, **arguments)


class _PruneAndRewind(BetweenRounds):
    """Prunes, and sets the initial weights of the next round."""

    def __init__(
        self,
        options: LotteryTicket,
        model: AdversarialModel,
        pruner: Pruner | FeaturePruning,
        seed: int,
    ) -> None:
        self._options, self._model, self._pruner, self._seed = options, model, pruner, seed
        self.stops = (options.rewind_step,)
        self._variables = wrapper.strip(model).weights
        self._rewind_weights = self._weights()

    def on_stop(self, number: int, iteration: int) -> None:
        if number == 0 and iteration == self._rewind_iteration():
            self._rewind_weights = self._weights()

    def start_round(self, number: int, train: Split) -> None:
        self._pruner.prune(self._model.network, train)
        if self._options.strategy == "original":
            self._set_weights(self._rewind_weights)
        elif self._options.strategy == "random":
            seeds = np.random.SeedSequence([self._seed, number])
            keras.utils.set_random_seed(int(seeds.generate_state(1)[0]))
            fresh = keras.models.clone_model(wrapper.strip(self._model))
            self._set_weights([weight.numpy() for weight in fresh.weights])
        wrapper.store_masked(self._model.network)

    def state(self) -> list[np.ndarray]:
        return self._rewind_weights

    def fits(self, state: Sequence[np.ndarray]) -> bool:
        return [each.shape for each in state] == [tuple(each.shape) for each in self._variables]

    def restore(self, state: list[np.ndarray]) -> None:
        self._rewind_weights = state

    def _rewind_iteration(self) -> int:
        late = self._options.rewind_to == "trained_dense"
        return self._options.length(0) if late else self._options.rewind_step

    def _weights(self) -> list[np.ndarray]:
        """The variables without masks: weights and, if any, moving statistics."""
        return [variable.numpy() for variable in self._variables]

    def _set_weights(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
