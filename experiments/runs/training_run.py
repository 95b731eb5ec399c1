"""A training run, from its flags to the files in its directory."""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Any

from etils import epy

from experiments.cli import command
from experiments.cli.quiet import quiet_stderr
from experiments.cli.values import Values
from experiments.runs import (
    attack_flags,
    best,
    config,
    figures,
    networks,
    profiles,
    resolved,
    results,
    unused,
)
from experiments.runs import options as flags
from experiments.runs.continuation import Continuation
from experiments.runs.directory import RunDirectory, path_of
from experiments.runs.log import RunLog
from experiments.runs.overfitting import OverfittingWatch
from experiments.runs.procedure import procedure_of
from experiments.runs.results import Export, RunResults
from robust_sparse_tf import attacks, data, evaluation, export, files, sparsity, training
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import make
from robust_sparse_tf.procedures import CheckpointStore, Phases
from robust_sparse_tf.procedures.records import Measured, Record
from robust_sparse_tf.training import OptimizerOptions, StepOptions, devices
from robust_sparse_tf.training.objectives import RSR, Adversarial

if TYPE_CHECKING:
    from robust_sparse_tf.training import AdversarialModel

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from experiments.runs import progress, workers
    from robust_sparse_tf.evaluation import feature_usefulness
    from robust_sparse_tf.sparsity import wrapper


_TFLITE = "model.tflite"
_NO_NOISE = "model.tflite, saved_model and their agreement are of the network without noise"


class TrainingRun:
    """A run with given flags.

    Args:
        values: the value of each flag.

    Raises:
        InputError: for invalid values, or combinations of them.
    """

    def __init__(self, values: Values) -> None:
        self._begin = time.monotonic()
        self.values = values = profiles.applied(values)
        self.options = make(flags.RunOptions, values)
        self.data = make(data.DataOptions, values)
        self.network = networks.builder(self.options, self.data.dataset)
        self.method = flags.make_method(values)
        self.procedure = procedure_of(values).schedule(values)
        self._train_rounds = procedure_of(values).run(values)
        self.objective = flags.make_objective(values)
        self.step_options = make(StepOptions, values)
        # The lasso is the objective's then, not the optimizer's, too.
        lasso = {"weight_l1": 0.0} if isinstance(self.objective, RSR) else {}
        self.optimizer = make(OptimizerOptions, values | lasso)
        unused.check(values)
        self.notes = unused.notes(values) + profiles.reasons(values)
        self.attack: attacks.Ascent | attacks.RandomIntensity | None = None
        if self.options.attack != "none":
            attack = attack_flags.make("attack", self.options.attack, values)
            self.attack = _drawn(attack, self.options.epsilon_std)
        self.objective.training_attack(self.attack)  # refuses attacks that it cannot use
        self.eval_attacks = {
            name: _drawn(attack_flags.make("eval", name, values), self.options.eval_epsilon_std)
            for name in self.options.eval_attacks
        }

    def check(self) -> None:
        """Loads the data and builds the network, like `execute` before training.

        Raises:
            InputError: for data and networks that are refused there.
        """
        splits = data.load(**vars(self.data), seed=self.options.seed)
        model = self._model(tf.distribute.get_strategy(), splits[0])
        if isinstance(self.procedure, Phases):
            self.procedure.check(model)

    def execute(self) -> tuple[str, RunResults | None]:
        """Runs, resumes, or returns the stored results of a finished run.

        Returns:
            The run's directory and its results; results are None in workers of a distributed run
            that do not write.

        Raises:
            InputError: for missing data, or a directory that cannot be used.
            TrainingError: if the loss is not finite, or on catastrophic overfitting if that must
                stop the run.
        """
        continuation = Continuation(self.values) if self.options.continue_from else None
        if self.options.distribute != "multiworker":
            return self._execute(continuation, chief=True)
        with workers.together():
            return self._execute(continuation, chief=devices.is_chief())

    def _execute(
        self, continuation: Continuation | None, *, chief: bool
    ) -> tuple[str, RunResults | None]:
        """The same; `chief` is whether this process writes, of several that train together."""
        strategy = self._devices()
        directory = RunDirectory(self.values, owner=chief)
        stored = directory.finished() if chief else None
        done = stored is not None
        several = self.options.distribute == "multiworker"
        if several:
            workers.agree(strategy, flags.hashed(self.values) | {"settings": self._settings})
            done = workers.share_folder(strategy, directory.path, chief, done)
        if done:
            if stored:
                print("already finished; these are the stored results (--overwrite starts again)")
            return directory.path, stored
        made_with = resolved.check(
            directory.path,
            self._settings,
            strategy.num_replicas_in_sync,
            self.options.continue_from,
        )
        splits = data.load(**vars(self.data), seed=self.options.seed)
        self.procedure = self.procedure.in_steps(splits[0])
        model = self._model(strategy, splits[0])
        watch = OverfittingWatch(self.options.overfitting, model, splits[0])
        if chief:
            directory.start(config.of_values(self.values, made_with))
        if several:
            workers.wait(strategy)  # wait for the chief, which may remove files
        store = CheckpointStore(directory.file("checkpoints"), read_only=not chief)
        if several:
            workers.agree(strategy, {"newest checkpoint": store.newest()})
        if not chief:
            told = dict(on_start=watch.start, on_record=watch.add)
            self._train_rounds(model, splits[0], watch.figures, store=store, **told)
            return directory.path, None
        if continuation:
            continuation.copy(directory, self.procedure)
        examples = {"validation": splits[1].size, "test": splits[2].size}
        about = self._about()
        log = RunLog(directory, self.procedure, model, self.eval_attacks, examples, about)
        records, resumed = self._train(model, splits, directory, watch, store, log)
        found = self._finish(
            model, splits[2], directory, records, warnings=watch.warnings, resumed=resumed
        )
        log.add_export(directory.file(_TFLITE), found["export"]["tflite_bytes"])
        return directory.path, found

    @functools.cached_property
    def _settings(self) -> config.Resolved:
        """Threads and similar settings, as at the run's beginning: its bits depend on them."""
        folders = [] if self.options.overwrite else [path_of(self.values)]
        return resolved.settings(self.options, filter(None, [*folders, self.options.continue_from]))

    @property
    def branches(self) -> int:
        """Number of parts of a batch in parallel."""
        return self._settings["branches"]

    def _devices(self) -> tf.distribute.Strategy:
        devices.configure(
            logical_cpus=self.options.logical_cpus,
            intra_op_threads=self._settings["intra_op_threads"],
            inter_op_threads=self.branches,
        )
        strategy = devices.strategy(self.options.distribute)
        replicas = strategy.num_replicas_in_sync
        if self.data.batch_size % replicas:
            raise InputError(
                f"batch_size={self.data.batch_size}: must be a multiple of the {replicas} replicas "
                "that share it"
            )
        return strategy

    def _model(self, strategy: tf.distribute.Strategy, train: data.Split) -> AdversarialModel:
        keras.utils.set_random_seed(self.options.seed)
        with strategy.scope():
            dense = self.network(train.images.shape[1:], train.num_classes)
            if self.options.prune == "features":
                feature_usefulness.head(
                    dense
                )  # refuses unsuitable networks before hours are spent on training
            network = sparsity.sparsify(self._with_noise(dense), self.method, data=train)
            model = training.AdversarialModel(
                network,
                self.attack,
                self.objective,
                seed=self.options.seed,
                branches=self.branches,
                step_options=self.step_options,
            )
            model.compile(
                self.optimizer.build(),
                metrics=self._metrics(),
                jit_compile=self.options.jit_compile == "on",
                steps_per_execution=self.options.steps_per_execution,
            )
        return model

    def _with_noise(self, network: keras.Model) -> keras.Model:
        kind, at_inference = self.options.noise, self.options.noise_at_inference
        if kind == "none":
            return network
        seed = self.options.seed
        return training.with_noise(network, kind, at_inference=at_inference, seed=seed)

    def _metrics(self) -> list[str]:
        """The metrics in training; the clean accuracy costs the objective `adversarial` a pass."""
        spared = isinstance(self.objective, Adversarial)
        spared &= self.options.attack in self.eval_attacks and self.values["clean_epochs"] is None
        return [] if spared else ["accuracy"]

    def _train(
        self,
        model: AdversarialModel,
        splits: tuple[data.Split, data.Split, data.Split],
        directory: RunDirectory,
        watch: OverfittingWatch,
        store: CheckpointStore,
        log: RunLog,
    ) -> tuple[list[Record], bool]:
        """Trains; returns the records of the run, and whether some are of an earlier process."""
        train, validation, test = splits
        measure = evaluation.Evaluator(
            model,
            self.eval_attacks,
            self.objective,
            seed=self.options.seed,
            branches=self.branches,
            batch_size=self.options.attack_batch_size,
        )
        seen: list[Record] = []
        resumed, number = False, 0
        with progress.RunProgress(self.procedure) as shown:

            def on_start(records: list[Record]) -> None:
                log.start(records)
                shown.on_start(records)
                nonlocal resumed, number
                resumed = bool(records)
                number = records[-1]["round"] if records else 0
                seen.extend(records)
                self._tell(model, seen)
                watch.start(records)

            def on_record(record: Record) -> None:
                seen.append(record)
                log.add(record)
                shown.on_record(record)
                self._tell(model, seen)
                log.add_check(watch.check(record), record)
                watch.add(record)
                command.raise_if_interrupted()

            def evaluate() -> Measured:
                with model.averaged():
                    found = Measured(validation=measure(validation), test=measure(test))
                    # Before the checkpoint: a run that is killed in between evaluates again.
                    own = [record for record in seen if record["round"] == number]
                    if best.is_better(found["validation"], own, self.options.attack):
                        # Without a warning that the method's schedule has not ended.
                        _save_network(directory, number, best.FILE, model, wrapper.strip)
                return {**found, **watch.figures()}

            def on_round_end(ended: int) -> None:
                _save_round(directory, ended, model)
                nonlocal number
                number = ended + 1

            records = self._train_rounds(
                model,
                train,
                evaluate,
                store=store,
                callbacks=[shown],
                on_start=on_start,
                on_record=on_record,
                on_round_end=on_round_end,
            )
        return records, resumed

    def _about(self) -> dict[str, Any]:
        """The description of the run for the log; see `summaries.RunInfo`."""
        given = flags.different(self.values)
        return {
            "method": self.values["method"],
            "density": getattr(self.method, "density", None),
            "attack": self.options.attack,
            "seed": self.options.seed,
            "hparams": {name: _plain(value) for name, value in given.items()},
        }

    def _tell(self, model: AdversarialModel, records: list[Record]) -> None:
        """Passes the evaluations so far to the method."""
        name = self.options.attack
        losses = [results.validation_loss(record, name) for record in records]
        gaps = [best.accuracy_gap(record, name) for record in records]
        model.network.tell(losses, gaps)

    def _finish(
        self,
        model: AdversarialModel,
        test: data.Split,
        directory: RunDirectory,
        records: list[Record],
        *,
        warnings: list[str],
        resumed: bool,
    ) -> RunResults:
        """Writes models, figures and results; results.json is last, and marks the end.

        Args:
            model: the trained model.
            test: the test images.
            directory: directory of the run.
            records: records of the whole run.
            warnings: warnings of the run.
            resumed: whether some records are of an earlier process.
        """
        given = flags.different(self.values)
        weight = results.stopping_weight(given)
        if training.has_noise(model):
            warnings = [*warnings, _NO_NOISE]
        found = RunResults(
            name=os.path.basename(directory.path),
            flags=given,
            rounds=results.of_rounds(records, self.options.attack, weight),
            weights=best.of_rounds(records, self.options.attack),
            export=_export(directory, model, test),
            seconds=time.monotonic() - self._begin,
            warnings=warnings,
            resumed=resumed,
        )
        with files.naming(directory.file("figures")):
            figures.draw(directory.file("figures"), records, found["rounds"], given)
        files.write_text(directory.file("results.md"), results.markdown(found))
        results.write(directory.path, found)
        return found


def _plain(value: Any) -> bool | float | str:
    """The value of a flag as TensorBoard's hyperparameters have it."""
    if isinstance(value, bool | int | float | str):
        return value
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _save_round(directory: RunDirectory, number: int, model: AdversarialModel) -> None:
    """Writes a round's masks, and its network as an ordinary model for `experiments.evaluate`."""
    _save_network(directory, number, "model.keras", model, sparsity.strip)
    masks = {
        name: mask.numpy().astype(bool)
        for name, _, mask, *_ in sparsity.masked_weights(model.network)
    }
    files.write_npz(directory.file("rounds", str(number), "masks.npz"), masks)


def _save_network(
    directory: RunDirectory, number: int, name: str, model: AdversarialModel, strip: Any
) -> None:
    """Writes a round's network as an ordinary model, with averaged weights if there are any."""
    folder = directory.file("rounds", str(number))
    os.makedirs(folder, exist_ok=True)
    path, partial = os.path.join(folder, name), os.path.join(folder, "partial.keras")
    with files.naming(path), files.discarding(partial), quiet_stderr(), model.averaged():
        strip(model).save(partial)
        os.replace(partial, path)


def _export(directory: RunDirectory, model: AdversarialModel, test: data.Split) -> Export:
    path = directory.file(_TFLITE)
    with quiet_stderr(), model.averaged():
        export.to_saved_model(model, directory.file("saved_model"))
        size = export.to_tflite(model, path)
        return {"tflite_bytes": size, "agreement": export.agreement(model, path, test.images)}


def _drawn(attack: attacks.Ascent, std: float) -> attacks.Ascent | attacks.RandomIntensity:
    """The attack with an epsilon drawn per batch, if there is a deviation."""
    return attacks.RandomIntensity(attack=attack, std=std) if std else attack
