"""Detection of catastrophic overfitting in a run."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from etils import epy

from robust_sparse_tf.attacks import Ascent, RandomIntensity
from robust_sparse_tf.errors import RunWarning, TrainingError
from robust_sparse_tf.evaluation.checks import Check, not_run, outcome
from robust_sparse_tf.procedures.records import Measured, Record
from robust_sparse_tf.texts import percent

with epy.lazy_imports():
    from robust_sparse_tf.callbacks import catastrophic_overfitting

if TYPE_CHECKING:
    from robust_sparse_tf.data import Split
    from robust_sparse_tf.training import AdversarialModel

MODES = ("ignore", "warn", "stop")


class OverfittingWatch:
    """Checks for catastrophic overfitting at each evaluation, round by round.

    It uses only the records of earlier checks, so that a resumed run behaves like an uninterrupted
    one.

    Args:
        mode: one of `MODES`.
        model: the model; only single-step training attacks are checked.
        train: the training images.

    Attributes:
        warnings: a line per detected event.
    """

    def __init__(self, mode: str, model: AdversarialModel, train: Split) -> None:
        self._stop = mode == "stop"
        self._watch: catastrophic_overfitting.CatastrophicOverfitting | None = None
        if mode != "ignore" and _takes_one_step(model.attack):
            self._watch = catastrophic_overfitting.CatastrophicOverfitting(train)
            self._watch.set_model(model)
        self._round = 0
        self._history: list[catastrophic_overfitting.Check] = []
        self.warnings: list[str] = []

    def figures(self) -> Measured:
        """Measures what a record needs."""
        if self._watch is None:
            return {}
        check = self._watch.check()
        return {"overfitting": {"pgd": check.accuracy, "own": check.own_accuracy}}

    def check(self, record: Record) -> Check:
        """Checks a new record against those that were added; call it before `add`."""
        name = "catastrophic overfitting"
        if self._watch is None or "overfitting" not in record:
            return not_run(
                name, "needs training with a single-step attack, and overfitting=warn or stop"
            )
        history = [*self._seen(record), self._of(record)]
        failed = self._watch.is_sign(history)
        last = history[-1]
        fine = (
            f"{percent(last.own_accuracy)} % of training images are robust to the training attack, "
            f"and {percent(last.accuracy)} % to PGD"
        )
        told = self._watch.evidence(history).removeprefix(f"{name} ") if failed else fine
        return outcome(name, failed, told)

    def start(self, records: list[Record]) -> None:
        """Takes over the records of an earlier process, which has already warned.

        Raises:
            TrainingError: if that process stopped the run.
        """
        for record in records:
            self._look(record)

    def add(self, record: Record) -> None:
        """Checks a new record, and warns.

        Raises:
            TrainingError: if the run must stop.
        """
        if self._look(record):
            warnings.warn(self.warnings[-1], RunWarning, stacklevel=2)

    def _look(self, record: Record) -> bool:
        if self._watch is None or "overfitting" not in record:
            return False
        self._history = [*self._seen(record), self._of(record)]
        self._round = record["round"]
        if not self._watch.is_sign(self._history):
            return False
        self.warnings.append(f"round {self._round}: {self._watch.evidence(self._history)}")
        if self._stop:
            raise TrainingError(f"{self.warnings[-1]}; stopped because of overfitting=stop")
        return True

    def _seen(self, record: Record) -> list[catastrophic_overfitting.Check]:
        """The checks of the record's round so far."""
        return self._history if record["round"] == self._round else []

    def _of(self, record: Record) -> catastrophic_overfitting.Check:
        found = record["overfitting"]
        return catastrophic_overfitting.Check(record["iteration"], found["pgd"], found["own"])


def _takes_one_step(attack: Ascent | RandomIntensity | None) -> bool:
    if isinstance(attack, RandomIntensity):
        attack = attack.attack
    return attack is not None and attack.epsilon > 0 and getattr(attack, "steps", 1) == 1
