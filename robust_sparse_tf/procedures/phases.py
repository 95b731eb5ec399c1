"""Clean training, then adversarial training, then pruning: each a round of the records."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, checked, option
from robust_sparse_tf.procedures.between_rounds import BetweenRounds
from robust_sparse_tf.procedures.records import Measured, Record
from robust_sparse_tf.procedures.rounds import Rounds, check_model
from robust_sparse_tf.sparsity import Threshold

with epy.lazy_imports():
    from robust_sparse_tf import training
    from robust_sparse_tf.sparsity import counting, density_change

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split
    from robust_sparse_tf.training import AdversarialModel

_CLEAN, _ROBUST, _PRUNED = "clean", "robust", "pruned"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseOptions:
    """Phases of a run: clean training, robust training, and pruning after training."""

    clean_epochs: int | None = option(
        None,
        "epochs of training without an attack, before the robust phase",
        unit="epochs",
        minimum=1,
        kind=int,
        shown="no clean phase",
    )
    robust_epochs: int | None = option(
        None,
        "epochs of training with the attack and the objective, instead of --iterations",
        unit="epochs",
        minimum=1,
        kind=int,
        shown="--iterations",
    )
    robust_density: float | None = option(
        None,
        "density of the robust phase after a clean one: lower prunes the smallest weights when it "
        "begins, higher grows weights by the method's own score",
        above=0,
        maximum=1,
        kind=float,
        shown="that of the clean phase",
    )
    robust_learning_rate: float | None = option(
        None,
        "learning rate of the robust phase after a clean one",
        above=0,
        kind=float,
        shown="--learning_rate",
    )
    fresh_optimizer: bool = option(False, "start each phase with a new optimizer")
    prune_after: str = option(
        "none",
        "pruning after training, each a further round; threshold: of all weights, those below "
        "--prune_gamma, or below the threshold for each sparsity of --prune_to",
        choices=("none", "threshold"),
    )
    prune_gamma: float | None = option(
        None,
        "magnitude below which weights are pruned after training",
        above=0,
        kind=float,
        shown="none",
    )
    prune_to: Sequence[str | int] = option(
        [], "sparsities to prune to after training, one after the other, separated by commas"
    )
    prune_after_epochs: int | None = option(
        None,
        "epochs of training after each pruning, as in the robust phase",
        unit="epochs",
        minimum=1,
        kind=int,
        shown="none",
    )

    def __post_init__(self) -> None:
        check(self)
        sparsities = self.sparsities()
        if self.prune_after == "none":
            for name in ("prune_gamma", "prune_to", "prune_after_epochs"):
                if value := getattr(self, name):
                    raise InputError(f"{name}={value}: has no effect without prune_after=threshold")
        elif bool(self.prune_gamma) == bool(sparsities):
            raise InputError("prune_after=threshold: needs either prune_gamma or prune_to")
        for name in ("robust_density", "robust_learning_rate", "fresh_optimizer"):
            if (value := getattr(self, name)) and not self.clean_epochs:
                raise InputError(f"{name}={value}: has no effect without clean_epochs")

    def sparsities(self) -> list[float]:
        """The sparsities of `prune_to` as numbers; flags give them as strings.

        Raises:
            InputError: unless they rise from 0 to below 1.
        """
        try:
            found = [float(word) for word in self.prune_to]
        except ValueError:
            found = [-1.0]
        rising = all(a < b for a, b in itertools.pairwise(found))
        if not rising or not all(0 <= each < 1 for each in found):
            given = ",".join(map(str, self.prune_to))
            raise InputError(f"prune_to={given}: must be rising sparsities, at least 0 and below 1")
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phases(Rounds):
    """Trains a model without its attack, then with it, then prunes it; each is a round.

    The robust phase has the attack and objective of the model. The optimizer, the count of steps
    and the masks continue from phase to phase. What follows a phase changes no bit of it.
    """

    options: PhaseOptions = PhaseOptions()
    steps_per_epoch: int = 0

    def __post_init__(self) -> None:
        names = self.names()
        object.__setattr__(self, "rounds", len(names))
        super().__post_init__()

    def names(self) -> list[str]:
        """The kind of each round: clean, robust or pruned."""
        own = self.options
        pruned = len(own.sparsities()) or int(own.prune_after != "none")
        return [_CLEAN] * bool(own.clean_epochs) + [_ROBUST] + [_PRUNED] * pruned

    def in_steps(self, train: Split) -> Self:
        """See `Rounds.in_steps`."""
        found = dataclasses.replace(self, steps_per_epoch=train.steps_per_epoch)
        return super(Phases, found).in_steps(train)

    def length(self, number: int) -> int:
        """See `Rounds.length`; rounds of pruning without training have none.

        Raises:
            InputError: before `in_steps`, as lengths are in epochs.
        """
        number = checked("number", number, int, minimum=0)
        own = self.options
        epochs = {
            _CLEAN: own.clean_epochs,
            _ROBUST: own.robust_epochs,
            _PRUNED: own.prune_after_epochs or 0,
        }[self.names()[min(number, self.rounds - 1)]]
        if epochs is None:
            return self.iterations
        if epochs and not self.steps_per_epoch:
            raise InputError("steps_per_epoch=0: is not known before in_steps(train)")
        return epochs * self.steps_per_epoch

    def steps_before(self, number: int) -> int:
        """See `Rounds.steps_before`."""
        return sum(self.length(each) for each in range(number))

    def place(self, step: int) -> tuple[int, int]:
        """See `Rounds.place`."""
        step = checked("step", step, int, minimum=1)
        number = 0
        while number < self.rounds - 1 and step > self.length(number):
            step -= self.length(number)
            number += 1
        return number, step

    def extent(self) -> str:
        """See `Rounds.extent`."""
        own = self.options
        lengths = {"clean": own.clean_epochs, "robust": own.robust_epochs}
        parts = [f"{epochs} epochs {name}" for name, epochs in lengths.items() if epochs]
        if not own.robust_epochs:
            parts.append(f"{self.iterations} steps")
        if pruned := self.names().count(_PRUNED):
            parts.append(f"pruned {pruned} times" if pruned > 1 else "pruned once")
        return ", ".join(parts)

    def resets_optimizer(self) -> bool:
        """See `Rounds.resets_optimizer`."""
        return self.options.fresh_optimizer

    def run(
        self,
        model: AdversarialModel,
        train: Split,
        evaluate: Callable[[], Measured],
        **arguments: Any,
    ) -> list[Record]:
        """Trains and prunes; see `Rounds.run`.

        Args:
            model: compiled, on a network from `sparsify`, with the attack of the robust phase.
            train: the training images.
            evaluate: measures the model; its results become part of the record.
            **arguments: the arguments of `Rounds.run` except `between`.

        Returns:
            One record per evaluation.

        Raises:
            InputError: for a model that is not compiled, densities that its method cannot reach,
                sparsities below that of the model, and a learning rate under a schedule.
            TrainingError: at the first loss that is not finite.
        """
        check_model(model)
        self.check(model)
        between = _Border(self, model)
        try:
            return super().run(model, train, evaluate, between=between, **arguments)
        finally:
            model.train_with(between.attack, between.objective)

    def check(self, model: AdversarialModel) -> None:
        """Raises InputError for phases that a model cannot have; see `run`."""
        own = self.options
        if own.robust_density:
            density_change.check_change(model.network, own.robust_density)
        inner: Any = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        rate = inner.get_config()["learning_rate"]
        if own.robust_learning_rate and isinstance(rate, dict):
            raise InputError(
                f"robust_learning_rate={own.robust_learning_rate}: must be left out with a "
                "schedule, which sets the rate of all steps"
            )
        for sparsity in own.sparsities()[:1]:
            _check_sparsity(sparsity, own.robust_density or counting.densities(model.network)[0])


class _Border(BetweenRounds):
    """Changes what a model trains with, and its masks, from phase to phase."""

    def __init__(self, phases: Phases, model: AdversarialModel) -> None:
        self._phases, self._model = phases, model
        self.attack, self.objective = model.attack, model.objective
        self._rate = float(model.optimizer.learning_rate)

    def enter(self, number: int) -> None:
        """See `BetweenRounds.enter`."""
        own = self._phases.options
        clean = self._phases.names()[number] == _CLEAN
        if clean:
            kept = ("label_smoothing", "activity_l1")
            costs = {name: getattr(self.objective, name) for name in kept}
            self._model.train_with(None, training.objectives.Clean(**costs))
        else:
            self._model.train_with(self.attack, self.objective)
        if own.robust_learning_rate:
            rate = self._rate if clean else own.robust_learning_rate
            self._model.optimizer.learning_rate = rate

    def start_round(self, number: int, train: Split) -> None:
        """See `BetweenRounds.start_round`."""
        own, names = self._phases.options, self._phases.names()
        network = self._model.network
        if names[number] == _ROBUST and own.robust_density:
            drawn = next(iter(train.index_batches(int(self._model.step))))
            batch = train.training_gather(drawn)
            optimizer = self._model.optimizer
            density_change.change_density(network, optimizer, own.robust_density, *batch)
        if names[number] != _PRUNED:
            return
        if own.prune_gamma:
            Threshold(gamma=own.prune_gamma).prune(network)
            return
        sparsity = own.sparsities()[number - names.index(_PRUNED)]
        _check_sparsity(sparsity, counting.densities(network)[0])
        Threshold(solve_density=1 - sparsity).prune(network)


def _check_sparsity(sparsity: float, density: float) -> None:
    # Within the rounding of one weight in a million.
    if sparsity < 1 - density - 1e-6:
        raise InputError(
            f"prune_to={sparsity:g}: must be at least {1 - density:g}, the sparsity there is"
        )
