"""One training run, from its flags to the files in its directory."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import os
import platform
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etils import epy

from experiments.cli.quiet import quiet_stderr
from experiments.runs import figures
from experiments.runs import options as flags
from experiments.runs.continuation import Continuation
from experiments.runs.directory import RunDirectory
from experiments.runs.log import RunLog
from experiments.runs.overfitting import OverfittingWatch
from experiments.runs.procedure import procedure_of
from experiments.runs.results import accuracy_gap, markdown, summarise, validation_loss
from robust_sparse_tf import attacks, data, evaluation, export, files, models, sparsity, training
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import make
from robust_sparse_tf.procedures import CheckpointStore, write_npz
from robust_sparse_tf.training import Mixed, OptimizerOptions, devices

if TYPE_CHECKING:
    from robust_sparse_tf.training import AdversarialModel

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from experiments.runs import progress
    from robust_sparse_tf.evaluation import feature_usefulness

_PACKAGES = (
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "cleverhans",
    "tensorflow-datasets",
    "keras",
    "ai-edge-litert",
    "numpy",
    "scikit-learn",
)


class TrainingRun:
    """A run of given flags.

    Args:
        values: the value of each flag.

    Raises:
        InputError: for values that are not allowed or do not fit together.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._begin = time.monotonic()
        self.values = values
        self.options = make(flags.RunOptions, values)
        self.network = _network(self.options)
        self.data = make(data.DataOptions, values)
        self.method = flags.make_method(values)
        self.procedure = procedure_of(values).schedule(values)
        self._run_procedure = procedure_of(values).run(values)
        self.optimizer = make(OptimizerOptions, values)
        self.objective = make(Mixed, values)
        self.attack = _attack(self.options.attack, values)
        if self.attack and self.options.epsilon_std:
            std = self.options.epsilon_std
            self.attack = attacks.RandomIntensity(attack=self.attack, std=std)
        self.eval_attacks = {name: _attack(name, values) for name in self.options.eval_attacks}

    def execute(self) -> tuple[str, dict[str, Any] | None]:
        """Runs or resumes, or finds the run finished.

        Returns:
            The run's directory and its results; None for the results in a worker of a distributed
            run that does not write them.

        Raises:
            InputError: for data that is not there or a directory that cannot be used.
            TrainingError: when the loss is no longer finite, or on catastrophic overfitting where
                that is to stop the run.
        """
        continuation = Continuation(self.values) if self.options.continue_from else None
        strategy = self._devices()
        chief = self.options.distribute != "multiworker" or devices.is_chief()
        directory = RunDirectory(self.values, owner=chief)
        if chief and (stored := directory.results()):
            return directory.path, stored
        splits = data.load(**vars(self.data), seed=self.options.seed)
        model = self._model(strategy, splits[0])
        watch = OverfittingWatch(self.options.overfitting, model, splits[0])
        if not chief:
            store = CheckpointStore(directory.file("checkpoints"), read_only=True)
            told = dict(on_start=watch.start, on_record=watch.add)
            self._run_procedure(model, splits[0], watch.figures, store=store, **told)
            return directory.path, None
        directory.start(_config(self.values))
        if continuation:
            continuation.copy(directory)
        records, resumed = self._train(model, splits, directory, watch)
        made = {"warnings": watch.warnings, "resumed": resumed}
        return directory.path, self._finish(model, splits[2], directory, records, made)

    @functools.cached_property
    def branches(self) -> int:
        """Parts of a batch side by side: halves were fastest on a CPU; a GPU wants whole ones."""
        two = _cores() > 1 and not tf.config.list_physical_devices("GPU")
        return self.options.branches or (2 if two else 1)

    def _devices(self) -> tf.distribute.Strategy:
        devices.configure(
            logical_cpus=self.options.logical_cpus,
            intra_op_threads=self.options.intra_op_threads or max(1, _cores() // self.branches),
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
                )  # refuses networks without, before hours are spent on one
            network = sparsity.sparsify(dense, self.method, data=train)
            model = training.AdversarialModel(
                network,
                self.attack,
                self.objective,
                seed=self.options.seed,
                branches=self.branches,
            )
            model.compile(
                self.optimizer.build(),
                metrics=["accuracy"],
                jit_compile=self.options.jit_compile == "on",
                steps_per_execution=self.options.steps_per_execution or 50,
            )
        return model

    def _train(
        self,
        model: AdversarialModel,
        splits: tuple,
        directory: RunDirectory,
        watch: OverfittingWatch,
    ) -> tuple[list[dict[str, Any]], bool]:
        """The records of the whole run, and whether some are of an earlier process."""
        train, validation, test = splits
        measure = evaluation.Evaluator(
            model,
            self.eval_attacks,
            self.objective,
            seed=self.options.seed,
            branches=self.branches,
        )
        log = RunLog(directory, self.procedure)
        seen: list[dict[str, Any]] = []
        resumed = False
        with progress.RunProgress(self.procedure) as shown:

            def on_start(records: list[dict[str, Any]]) -> None:
                log.start(records)
                shown.on_start(records)
                nonlocal resumed
                resumed = bool(records)
                seen.extend(records)
                self._tell(model, seen)
                watch.start(records)

            def on_record(record: dict[str, Any]) -> None:
                seen.append(record)
                log.add(record)
                shown.on_record(record)
                self._tell(model, seen)
                watch.add(record)

            def evaluate() -> dict[str, Any]:
                figures = {"validation": measure(validation), "test": measure(test)}
                return figures | watch.figures()

            records = self._run_procedure(
                model,
                train,
                evaluate,
                store=CheckpointStore(directory.file("checkpoints")),
                callbacks=[shown],
                on_start=on_start,
                on_record=on_record,
                on_round_end=lambda number: _save_round(directory, number, model),
            )
        return records, resumed

    def _tell(self, model: AdversarialModel, records: list[dict[str, Any]]) -> None:
        """Tells the method of the evaluations so far."""
        name = self.options.attack
        losses = [validation_loss(record, name) for record in records]
        gaps = [accuracy_gap(record, name) for record in records]
        model.network.tell(losses, gaps)

    def _finish(
        self,
        model: AdversarialModel,
        test: data.Split,
        directory: RunDirectory,
        records: list[dict[str, Any]],
        made: dict[str, Any],
    ) -> dict[str, Any]:
        """Writes models, figures and results; results.json, written last, marks the end.

        Args:
            model: as trained.
            test: the test images.
            directory: the run's.
            records: of the whole run.
            made: what the results say of how they were made: `warnings`, `resumed`.
        """
        results = {
            "name": os.path.basename(directory.path),
            "flags": flags.different(self.values),
            "rounds": summarise(records, self.options.attack),
            "export": _export(directory, model, test),
            "seconds": time.monotonic() - self._begin,
            **made,
        }
        with files.naming(directory.file("figures")):
            figures.draw(directory.file("figures"), records, results["rounds"])
        files.write_text(directory.file("results.md"), markdown(results))
        files.write_json(directory.file("results.json"), results)
        return results


def _network(options: flags.RunOptions) -> Callable[..., keras.Model]:
    """What makes the network, from the shape of an image and the number of classes."""
    build = models.BY_NAME[options.model]
    if options.width == 1:
        return build
    if "width" not in inspect.signature(build).parameters:
        raise InputError(f"width={options.width}: must be 1 with model={options.model}")
    return functools.partial(build, width=options.width)


def _attack(name: str, values: dict[str, Any]) -> attacks.Attack | None:
    return None if name == "none" else make(attacks.BY_NAME[name], values)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _config(values: dict[str, Any]) -> dict[str, Any]:
    revision = subprocess.run(
        ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "flags": values,
        "seed": values["seed"],
        "git_revision": revision.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _save_round(directory: RunDirectory, number: int, model: AdversarialModel) -> None:
    """A round's masks, and its network as an ordinary model, for `experiments.evaluate`."""
    folder = directory.file("rounds", str(number))
    os.makedirs(folder, exist_ok=True)
    path, partial = os.path.join(folder, "model.keras"), os.path.join(folder, "partial.keras")
    with files.naming(path), quiet_stderr():
        sparsity.strip(model).save(partial)
        os.replace(partial, path)
    masks = {
        name: mask.numpy().astype(bool)
        for name, _, mask, *_ in sparsity.masked_weights(model.network)
    }
    write_npz(os.path.join(folder, "masks.npz"), masks)


def _export(directory: RunDirectory, model: AdversarialModel, test: data.Split) -> dict[str, Any]:
    path = directory.file("model.tflite")
    with quiet_stderr():
        export.to_saved_model(model, directory.file("saved_model"))
        size = export.to_tflite(model, path)
        return {"tflite_bytes": size, "agreement": export.agreement(model, path, test.images)}
