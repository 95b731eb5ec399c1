"""Iterative magnitude pruning with rewinding: the lottery-ticket procedure."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras as keras

from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.options import check, option
from robust_sparse_tf.procedures.checkpoint import CheckpointStore
from robust_sparse_tf.procedures.feature_pruning import FeaturePruning
from robust_sparse_tf.sparsity import LayerRates, Pruner, statistics, store_masked, strip
from robust_sparse_tf.training import AdversarialModel

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LotteryTicket:
    """Train, prune the smallest weights of each layer, rewind the rest, and again.

    "The Lottery Ticket Hypothesis" (Frankle and Carbin, 2019), section 1; late rewinding from
    "Linear Mode Connectivity and the Lottery Ticket Hypothesis" (Frankle et al., 2020); under
    attack in "The Search for Sparse, Robust Neural Networks" (2019). Each round starts with a
    fresh optimizer.
    """

    strategy: str = option(
        "original",
        "weights a round starts from: rewound, drawn anew, or as they are",
        choices=("original", "random", "continued"),
    )
    rewind_to: str = option(
        "initial",
        "what 'original' rewinds to: the weights of --rewind_step, or those at the end of the "
        "first, dense training",
        choices=("initial", "trained_dense"),
    )
    rewind_step: int = option(
        0, "iteration of the first round to which 'original' rewinds", unit="iterations", minimum=0
    )
    rounds: int = option(4, "trainings, the dense one included", unit="rounds", minimum=1)
    iterations: int = option(1000, "training steps of a round", unit="iterations", minimum=1)
    dense_iterations: int = option(
        0,
        "training steps of the first, dense round (0: as many as of any)",
        unit="iterations",
        minimum=0,
    )
    evaluate_every: int = option(100, "steps between evaluations", unit="iterations", minimum=1)
    evaluate_at: list = option(
        [], "further iterations after which to evaluate, separated by commas", unit="iterations"
    )

    def __post_init__(self) -> None:
        check(self)
        self._further_stops()
        if self.rewind_step > self.length(0):
            raise InputError(
                f"rewind_step={self.rewind_step}: must be at most {self.length(0)}, the first "
                "round's iterations"
            )
        if self.rewind_step and self.rewind_to == "trained_dense":
            raise InputError(
                f"rewind_step={self.rewind_step}: must be 0 with rewind_to=trained_dense"
            )

    def length(self, number: int) -> int:
        """How many training steps a round has."""
        if number == 0 and self.dense_iterations:
            return self.dense_iterations
        return self.iterations

    def steps_before(self, number: int) -> int:
        """How many training steps the rounds before one have."""
        return self.length(0) + (number - 1) * self.iterations if number else 0

    def place(self, step: int) -> tuple[int, int]:
        """The round, from 0, and the iteration in it, from 1, of the run's step, from 1."""
        if step <= self.length(0):
            return 0, step
        rounds, iteration = divmod(step - self.length(0) - 1, self.iterations)
        return 1 + rounds, 1 + iteration

    def run(
        self,
        model: AdversarialModel,
        train: Split,
        evaluate: Callable[[], Record],
        *,
        pruner: Pruner | FeaturePruning | None = None,
        seed: int = 0,
        store: CheckpointStore | None = None,
        callbacks: list[keras.callbacks.Callback] | None = None,
        on_start: Callable[[list[Record]], None] = lambda records: None,
        on_record: Callable[[Record], None] = lambda record: None,
        on_round_end: Callable[[int], None] = lambda number: None,
    ) -> list[Record]:
        """Trains all rounds, going on from the newest checkpoint of the store.

        Args:
            model: compiled, on a network from `sparsify`.
            train: the training images.
            evaluate: measures the model; its figures become part of the record.
            pruner: what goes after each round; by default `LayerRates()`.
            seed: seed of weights that are drawn anew.
            store: where checkpoints go, after each evaluation; None for none.
            callbacks: passed to `fit`.
            on_start: called with the records of the checkpoint that the run goes on from.
            on_record: called with each new record.
            on_round_end: called with the round's number while the model is as trained.

        Returns:
            One record an evaluation: `round`, `iteration`, `density`, `layers` (densities),
            `sparsity` (see `sparsity.statistics`), `train`
            (`fit`'s metrics since the last one or the rewind point) and what `evaluate` gave.

        Raises:
            TrainingError: at the first loss that is not finite.
        """
        run = _Run(self, model, pruner or LayerRates(), seed, store)
        run.restore()
        on_start(list(run.records))
        while run.round < self.rounds:
            if run.iteration == self.length(run.round):
                on_round_end(run.round)
                run.next_round(train)
                continue
            run.train_to(self._next_stop(run.round, run.iteration), train, callbacks or [])
            if self._is_evaluated(run.round, run.iteration):
                figures = evaluate()
                if not _all_finite(figures):
                    raise run.not_finite(run.iteration)
                record = run.record(figures)
                run.save()
                on_record(record)
        return run.records

    def _is_evaluated(self, number: int, iteration: int) -> bool:
        regular = iteration % self.evaluate_every == 0 or iteration == self.length(number)
        return regular or iteration in self._further_stops()

    def _next_stop(self, number: int, iteration: int) -> int:
        stops = [self.length(number), (iteration // self.evaluate_every + 1) * self.evaluate_every]
        further = [self.rewind_step, *self._further_stops()]
        return min(stops + [stop for stop in further if stop > iteration])

    def _further_stops(self) -> list[int]:
        """`evaluate_at` as numbers, which as flags are words."""
        stops = [int(word) if str(word).isdecimal() else 0 for word in self.evaluate_at]
        if not all(0 < stop <= self.iterations for stop in stops):
            given = ",".join(map(str, self.evaluate_at))
            raise InputError(
                f"evaluate_at={given}: must be whole numbers from 1 to iterations={self.iterations}"
            )
        return stops


class _Run:
    """The changing part of a procedure, as it stands in a checkpoint."""

    def __init__(
        self,
        options: LotteryTicket,
        model: AdversarialModel,
        pruner: Pruner | FeaturePruning,
        seed: int,
        store: CheckpointStore | None,
    ) -> None:
        self.options, self.model, self.pruner = options, model, pruner
        self.seed, self.store = seed, store
        self.round = self.iteration = 0
        self.records: list[Record] = []
        self._variables = strip(model).weights
        self.rewind_weights = self._weights()
        self._fresh_optimizer = self._optimizer()
        self._train_logs: dict[str, float] = {}

    def train_to(self, iteration: int, train: Split, callbacks: list) -> None:
        steps = iteration - self.iteration
        history = self.model.fit(
            train, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=callbacks
        )
        bad = int(self.model.nonfinite_step.numpy())
        if bad >= 0:
            raise self.not_finite(bad + 1 - self.options.steps_before(self.round))
        self._train_logs = {name: float(values[-1]) for name, values in history.history.items()}
        self.iteration = iteration
        if self.round == 0 and iteration == self._rewind_iteration():
            self.rewind_weights = self._weights()

    def next_round(self, train: Split) -> None:
        """Prunes, puts the next round's starting weights in place and empties the optimizer."""
        self.round, self.iteration = self.round + 1, 0
        if self.round == self.options.rounds:
            return
        self.pruner.prune(self.model.network, train)
        if self.options.strategy == "original":
            self._set_weights(self.rewind_weights)
        elif self.options.strategy == "random":
            seeds = np.random.SeedSequence([self.seed, self.round])
            keras.utils.set_random_seed(int(seeds.generate_state(1)[0]))
            fresh = keras.models.clone_model(strip(self.model))
            self._set_weights([weight.numpy() for weight in fresh.weights])
        store_masked(self.model.network)
        self._set_optimizer(self._fresh_optimizer)

    def record(self, figures: Record) -> Record:
        found = statistics(self.model)
        record = dict(
            round=self.round,
            iteration=self.iteration,
            density=found["density"],
            layers={name: layer["density"] for name, layer in found["layers"].items()},
            sparsity=found,
            train=self._train_logs,
            **figures,
        )
        self.records.append(record)
        return record

    def save(self) -> None:
        if self.store is None or self.store.read_only:
            return
        groups = dict(
            model=self.model.network.get_weights(),
            optimizer=self._optimizer(),
            rewind=self.rewind_weights,
        )
        arrays = {
            f"{group}/{number:03d}": value
            for group, values in groups.items()
            for number, value in enumerate(values)
        }
        meta = dict(
            round=self.round,
            iteration=self.iteration,
            step=int(self.model.step.numpy()),
            records=self.records,
        )
        self.store.save(meta["step"], arrays, meta)

    def restore(self) -> None:
        found = self.store.load() if self.store else None
        if found is None:
            return
        arrays, meta = found
        groups: dict[str, list[np.ndarray]] = {}
        for name in sorted(arrays):
            groups.setdefault(name.split("/")[0], []).append(arrays[name])
        self.model.network.set_weights(groups["model"])
        for variable, value in zip(
            self.model.optimizer.variables, groups["optimizer"], strict=True
        ):
            variable.assign(value)
        self.rewind_weights = groups["rewind"]
        self.model.step.assign(meta["step"])
        self.round, self.iteration = meta["round"], meta["iteration"]
        self.records = meta["records"]

    def _rewind_iteration(self) -> int:
        late = self.options.rewind_to == "trained_dense"
        return self.options.length(0) if late else self.options.rewind_step

    def _weights(self) -> list[np.ndarray]:
        """All that `strip` leaves: weights and, where there are any, moving statistics."""
        return [variable.numpy() for variable in self._variables]

    def _set_weights(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _optimizer(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.optimizer.variables]

    def _set_optimizer(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self.model.optimizer.variables, values, strict=True):
            variable.assign(value)

    def not_finite(self, iteration: int) -> TrainingError:
        kept = (
            "" if not self.store or self.store.is_empty() else "; the last good checkpoint is kept"
        )
        return TrainingError(
            f"the loss is not finite at iteration {iteration} of round {self.round}{kept}"
        )


def _all_finite(figures: Any) -> bool:
    """Whether all numbers in a nest of dictionaries are; a step may spoil what comes after it."""
    if isinstance(figures, dict):
        return all(_all_finite(value) for value in figures.values())
    return not isinstance(figures, float) or bool(np.isfinite(figures))
