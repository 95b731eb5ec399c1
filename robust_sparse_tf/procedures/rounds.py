"""Rounds of training with evaluations, checkpoints and exact resume."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from etils import epy

from robust_sparse_tf import sparsity
from robust_sparse_tf.errors import InputError, RunWarning, TrainingError
from robust_sparse_tf.options import (
    check,
    checked,
    is_count,
    option,
    require,
    require_function,
)
from robust_sparse_tf.procedures.between_rounds import BetweenRounds
from robust_sparse_tf.procedures.checkpoint import CheckpointStore
from robust_sparse_tf.procedures.records import Measured, Record, Standing

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf import training
    from robust_sparse_tf.data import split
    from robust_sparse_tf.training import noise

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split
    from robust_sparse_tf.training import AdversarialModel

# The hook's arrays in a checkpoint, which are the weights to rewind to.
_HOOK = "rewind"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rounds:
    """Rounds of training, with evaluations, checkpoints and bit-identical resuming.

    Each round starts with a new optimizer. A hook does the rest between rounds, see
    `BetweenRounds`.
    """

    rounds: int = option(4, "number of trainings, the dense one included", unit="rounds", minimum=1)
    iterations: int = option(1000, "training steps per round", unit="iterations", minimum=1)
    dense_iterations: int | None = option(
        None,
        "training steps of the first, dense round",
        unit="iterations",
        minimum=1,
        kind=int,
        shown="same as --iterations",
    )
    evaluate_every: int = option(100, "steps between evaluations", unit="iterations", minimum=1)
    evaluate_epochs: int | None = option(
        None,
        "epochs between evaluations, instead of --evaluate_every; an epoch is one pass over the "
        "training images",
        unit="epochs",
        minimum=1,
        kind=int,
        shown="none",
    )
    evaluate_at: Sequence[str | int] = option(
        [], "additional iterations after which to evaluate, separated by commas", unit="iterations"
    )

    def __post_init__(self) -> None:
        check(self)
        self._further_stops()

    def in_steps(self, train: Split) -> Self:
        """The same with epochs as iterations, for training images of a known number."""
        if self.evaluate_epochs is None:
            return self
        every = self.evaluate_epochs * train.steps_per_epoch
        return dataclasses.replace(self, evaluate_every=every, evaluate_epochs=None)

    def length(self, number: int) -> int:
        """Number of training steps of a round."""
        number = checked("number", number, int, minimum=0)
        if number == 0 and self.dense_iterations:
            return self.dense_iterations
        return self.iterations

    def resets_optimizer(self) -> bool:
        """Whether each round begins with a new optimizer."""
        return True

    def extent(self) -> str:
        """The number of rounds and steps, in words."""
        steps = f"{self.steps_before(self.rounds)} steps"
        return f"{self.rounds} rounds, {steps}" if self.rounds > 1 else steps

    def steps_before(self, number: int) -> int:
        """Number of training steps of all rounds before one."""
        number = checked("number", number, int, minimum=0)
        return self.length(0) + (number - 1) * self.iterations if number else 0

    def place(self, step: int) -> tuple[int, int]:
        """Converts the run's step, from 1, to round, from 0, and iteration in it, from 1."""
        step = checked("step", step, int, minimum=1)
        if step <= self.length(0):
            return 0, step
        rounds, iteration = divmod(step - self.length(0) - 1, self.iterations)
        return 1 + rounds, 1 + iteration

    def is_evaluated(self, number: int, iteration: int) -> bool:
        """Whether to evaluate and write a checkpoint after an iteration of a round."""
        iteration = checked("iteration", iteration, int, minimum=0)
        regular = iteration % self.evaluate_every == 0 or iteration == self.length(number)
        return regular or iteration in self._further_stops()

    def run(
        self,
        model: AdversarialModel,
        train: Split,
        evaluate: Callable[[], Measured],
        *,
        between: BetweenRounds | None = None,
        store: CheckpointStore | None = None,
        callbacks: list[keras.callbacks.Callback] | None = None,
        on_start: Callable[[list[Record]], None] = lambda records: None,
        on_record: Callable[[Record], None] = lambda record: None,
        on_round_end: Callable[[int], None] = lambda number: None,
    ) -> list[Record]:
        """Trains all rounds, continuing from the newest checkpoint of the store.

        Args:
            model: compiled, on a network from `sparsify`.
            train: the training images.
            evaluate: measures the model; its results become part of the record.
            between: hook that acts between rounds, or None.
            store: where checkpoints are written, after each evaluation; None for none.
            callbacks: passed to `fit`.
            on_start: called with the records of the checkpoint that the run resumes from.
            on_record: called with each new record.
            on_round_end: called with the round's number before anything is pruned.

        Returns:
            One record per evaluation.

        Raises:
            InputError: if the model is not compiled, or arguments have other types.
            TrainingError: at the first loss that is not finite.
        """
        check_model(model)
        require("train", train, split.Split)
        require_function("evaluate", evaluate, 0)
        require_function("on_start", on_start, 1)
        require_function("on_record", on_record, 1)
        require_function("on_round_end", on_round_end, 1)
        if between is not None:
            require("between", between, BetweenRounds)
        if store is not None:
            require("store", store, CheckpointStore)
        if callbacks is not None:
            require("callbacks", callbacks, list)
        options = self.in_steps(train)
        run = _Run(options, model, between or BetweenRounds(), store)
        run.restore()
        run.between.enter(min(run.round, options.rounds - 1))
        on_start(list(run.records))
        while run.round < options.rounds:
            length = options.length(run.round)
            if run.iteration == length and run.is_recorded():
                on_round_end(run.round)
                run.next_round(train)
                continue
            if length:
                run.train_to(run.next_stop(), train, callbacks or [])
            if options.is_evaluated(run.round, run.iteration):
                figures = evaluate()
                require("evaluate()", figures, Mapping)
                if not _all_finite(figures):
                    raise run.not_finite(run.iteration)
                record = run.record(figures)
                run.save()
                on_record(record)
        return run.records

    def next_stop(self, number: int, iteration: int, further: tuple[int, ...] = ()) -> int:
        """The next iteration of a round at which training pauses.

        Args:
            number: the round, from 0.
            iteration: iterations trained so far in the round.
            further: iterations at which to pause without an evaluation.
        """
        iteration = checked("iteration", iteration, int, minimum=0)
        stops = [self.length(number), (iteration // self.evaluate_every + 1) * self.evaluate_every]
        further = (*further, *self._further_stops())
        return min(stops + [stop for stop in further if stop > iteration])

    def _further_stops(self) -> list[int]:
        """`evaluate_at` as numbers; flags give it as strings."""
        stops = [int(word) if is_count(word) else 0 for word in self.evaluate_at]
        if not all(0 < stop <= self.iterations for stop in stops):
            given = ",".join(map(str, self.evaluate_at))
            raise InputError(
                f"evaluate_at={given}: must be whole numbers from 1 to iterations={self.iterations}"
            )
        return stops


def check_model(model: AdversarialModel) -> None:
    """Raises InputError for a model that is not adversarial, or not compiled."""
    require("model", model, training.AdversarialModel)
    if model.optimizer is None:
        raise InputError(f"model {model.name}: must be compiled")


class _Run:
    """The state of a procedure that checkpoints hold."""

    def __init__(
        self,
        options: Rounds,
        model: AdversarialModel,
        between: BetweenRounds,
        store: CheckpointStore | None,
    ) -> None:
        self.options, self.model, self.between, self.store = options, model, between, store
        self.round = self.iteration = 0
        self.records: list[Record] = []
        self._fresh_optimizer = self._optimizer()
        self._train_logs: dict[str, float] = {}

    def next_stop(self) -> int:
        return self.options.next_stop(self.round, self.iteration, self.between.stops)

    def train_to(
        self, iteration: int, train: Split, callbacks: list[keras.callbacks.Callback]
    ) -> None:
        steps = iteration - self.iteration
        history = self.model.fit(
            train, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=callbacks
        )
        bad = int(self.model.nonfinite_step.numpy())
        if bad >= 0:
            raise self.not_finite(bad + 1 - self.options.steps_before(self.round))
        self._train_logs = {name: float(values[-1]) for name, values in history.history.items()}
        self.iteration = iteration
        self.between.on_stop(self.round, iteration)

    def is_recorded(self) -> bool:
        """Whether the last record is of this place."""
        here = (self.round, self.iteration)
        return bool(self.records) and here == (
            self.records[-1]["round"],
            self.records[-1]["iteration"],
        )

    def next_round(self, train: Split) -> None:
        """Starts the next round, if there is one: resets the optimizer, and runs the hook."""
        self.round, self.iteration = self.round + 1, 0
        if self.round < self.options.rounds:
            if self.options.resets_optimizer():
                _assign(self.model.optimizer.variables, self._fresh_optimizer)
            self.between.start_round(self.round, train)
            if self.model.averages:
                self.model.averages.restart()
            self.between.enter(self.round)

    def record(self, figures: Measured) -> Record:
        if not self.iteration:  # a round without training: the metrics of the one before
            self._train_logs = self.records[-1]["train"]
        found = sparsity.statistics(self.model)
        record = Record(
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
        groups = {
            "model": self.model.network.get_weights(),
            "optimizer": self._optimizer(),
            _HOOK: self.between.state(),
            "noise": noise.noise_state(self.model),
            "average": [average.numpy() for average in self._averages()],
        }
        arrays = {
            f"{group}/{number:03d}": value
            for group, values in groups.items()
            for number, value in enumerate(values)
        }
        standing = Standing(
            round=self.round,
            iteration=self.iteration,
            step=int(self.model.step.numpy()),
            records=self.records,
        )
        self.store.save(standing["step"], arrays, standing)

    def restore(self) -> None:
        """Restores the newest checkpoint that fits; a warning names the others."""
        if self.store is None:
            return
        for arrays, standing in self.store.all():
            groups: dict[str, list[np.ndarray]] = {}
            for name in sorted(arrays):
                groups.setdefault(name.split("/")[0], []).append(arrays[name])
            if self._fits(groups):
                self._restore(groups, standing)
                return
            warnings.warn(
                f"checkpoint {self.store.path(standing['step'])} is of another network or "
                "optimizer; going back to the one before, else to the beginning",
                RunWarning,
                stacklevel=2,
            )

    def _fits(self, groups: Mapping[str, Sequence[np.ndarray]]) -> bool:
        """Whether a checkpoint's arrays fit this network, optimizer and hook."""
        own = {
            "model": self.model.network.weights,
            "optimizer": self.model.optimizer.variables,
            "average": self._averages(),
        }
        shapes = {name: [tuple(each.shape) for each in values] for name, values in own.items()}
        stored = {name: [each.shape for each in groups.get(name, [])] for name in own}
        states = len(noise.noise_state(self.model)) == len(groups.get("noise", []))
        return shapes == stored and states and self.between.fits(groups.get(_HOOK, []))

    def _restore(self, groups: dict[str, list[np.ndarray]], standing: Standing) -> None:
        _assign(self.model.network.weights, groups["model"])
        _assign(self.model.optimizer.variables, groups["optimizer"])
        _assign(self._averages(), groups.get("average", []))
        self.between.restore(groups.get(_HOOK, []))
        noise.restore_noise(self.model, groups.get("noise", []))
        self.model.step.assign(standing["step"])
        self.round, self.iteration = standing["round"], standing["iteration"]
        self.records = standing["records"]

    def _averages(self) -> list[tf.Variable]:
        return self.model.averages.variables if self.model.averages else []

    def _optimizer(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.optimizer.variables]

    def not_finite(self, iteration: int) -> TrainingError:
        kept = (
            "" if not self.store or self.store.is_empty() else "; the last good checkpoint is kept"
        )
        return TrainingError(
            f"the loss is not finite at iteration {iteration} of round {self.round}{kept}"
        )


def _assign(variables: Sequence[tf.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _all_finite(figures: Any) -> bool:
    """Whether all numbers in nested dictionaries are finite; a step may make later results NaN."""
    if isinstance(figures, dict):
        return all(_all_finite(value) for value in figures.values())
    return not isinstance(figures, float) or bool(np.isfinite(figures))
