"""Continues a finished run: the same training, made longer."""

import json
import os

from experiments.cli.values import Values
from experiments.runs import best, results
from experiments.runs.directory import RunDirectory
from experiments.runs.old_flags import are_same
from experiments.runs.options import different, value_of
from experiments.runs.procedure import procedure_of
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import CheckpointStore, Phases, Rounds
from robust_sparse_tf.procedures.checkpoint import Checkpoint
from robust_sparse_tf.procedures.records import Standing


class Continuation:
    """The part of a finished run that a run with `--continue_from` takes over.

    The longer run is bit-identical to one that had this length from the start.

    Args:
        values: the value of each flag.

    Raises:
        InputError: if the directory has no finished run, or one that cannot be continued: other
            flags differ than the one that sets the length, or this run is not longer.
    """

    def __init__(self, values: Values) -> None:
        self._folder, self._chosen = values["continue_from"], procedure_of(values)
        if values["distribute"] == "multiworker":
            raise self._refused("cannot be used with distribute=multiworker")
        if isinstance(self._chosen.schedule(values), Phases):
            raise self._refused("cannot be used with phases or prune_after")
        stored = self._flags()
        longer, now = self._chosen.longer, json.loads(json.dumps(different(values)))
        for name in sorted({*stored, *now} - {longer}):
            before, wanted = value_of(stored, name), value_of(now, name)
            if not are_same(name, before, wanted, values):
                raise self._refused(f"was made with other flags ({name}={before}, now {wanted})")
        before, wanted = value_of(stored, longer), value_of(now, longer)
        if wanted <= before:
            raise self._refused(f"has {longer}={before}; {longer}={wanted} must be more")

    def copy(self, directory: RunDirectory, schedule: Rounds) -> None:
        """Copies the rounds, and the newest checkpoint that the longer run would also make.

        Does nothing if the directory already has a checkpoint, which is then resumed.

        Args:
            directory: directory of the longer run.
            schedule: its trainings, in steps.

        Raises:
            InputError: if there is no such checkpoint, or it cannot be copied.
        """
        store = CheckpointStore(directory.file("checkpoints"))
        if not store.is_empty():
            return
        source = os.path.join(self._folder, "checkpoints")
        fitting = (
            [] if not os.path.isdir(source) else self._fitting(CheckpointStore(source), schedule)
        )
        if not fitting:
            raise self._refused(
                f"has no checkpoint that a run with more {self._chosen.longer} would also make, "
                "such as a last evaluation at a multiple of --evaluate_every"
            )
        rounds = os.path.join(self._folder, "rounds")
        for place, _, names in os.walk(rounds):
            target = directory.file("rounds", os.path.relpath(place, rounds))
            os.makedirs(target, exist_ok=True)
            for name in names:
                if name == best.FILE and self._is_later(place, fitting[0][1]):
                    continue
                with open(os.path.join(place, name), "rb") as file:
                    content = file.read()
                with files.complete(os.path.join(target, name)) as copy:
                    copy.write(content)
        arrays, meta = fitting[0]
        store.save(meta["step"], arrays, meta)  # last, as it marks completion

    def _is_later(self, place: str, meta: Standing) -> bool:
        """Whether the best weights of a round, given its folder, are later than a checkpoint."""
        found = results.read(self._folder)
        number = int(os.path.basename(place))
        weights = found.get("weights", []) if found else []
        kept = [each for each in weights if each["round"] == number]
        own = meta["round"] == number
        return own and any(each["best"]["iteration"] > meta["iteration"] for each in kept)

    @staticmethod
    def _fitting(store: CheckpointStore, schedule: Rounds) -> list[Checkpoint]:
        """The checkpoints, newest first, at steps where the longer run is also evaluated."""
        return [
            (arrays, meta)
            for arrays, meta in store.all()
            if schedule.is_evaluated(meta["round"], meta["iteration"])
        ]

    def _flags(self) -> Values:
        """The flags of the finished run that differ from their defaults."""
        try:
            found = results.read(self._folder)
        except (InputError, OSError) as error:
            raise self._refused("is not the directory of a finished run") from error
        if found is None:
            raise self._refused("is not the directory of a finished run")
        return found["flags"]

    def _refused(self, reason: str) -> InputError:
        return InputError(f"continue_from={self._folder}: {reason}")
