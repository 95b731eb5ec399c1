"""Runs the lottery-ticket procedure under adversarial training: flags in, a run's directory out."""

import importlib.metadata
import logging
import os
import platform
import subprocess
import sys
import time
import warnings
from typing import Any

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import tensorflow as tf
    import tf_keras as keras

    from experiments import figures, flags
    from experiments.directory import RunDirectory, write_json, write_text
    from experiments.log import RunLog
    from experiments.progress import RunProgress, print_table
    from experiments.results import markdown, summarise, table
    from robust_sparse_tf import attacks, data, export, models, sparsity
    from robust_sparse_tf.errors import InputError, RunWarning, TrainingError
    from robust_sparse_tf.evaluation import Evaluator
    from robust_sparse_tf.procedures import CheckpointStore, LotteryTicket, write_npz
    from robust_sparse_tf.training import AdversarialModel, Mixed, OptimizerOptions, devices

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


def run(values: dict[str, Any]) -> str:
    """Runs, resumes or shows the run of the given flags, and returns its directory.

    Raises:
        InputError: for flags that do not fit together, data that is not there, or a directory that
            cannot be used.
        TrainingError: when the loss is no longer finite.
    """
    begin = time.monotonic()
    options = flags.make(flags.RunOptions, values)
    parts = _parts(options)
    procedure, pruner = flags.make(LotteryTicket, values), flags.make(sparsity.LayerRates, values)
    optimizer = flags.make(OptimizerOptions, values)
    objective, attack = flags.make(Mixed, values), _attack(options.attack, values)
    eval_attacks = {name: _attack(name, values) for name in options.eval_attacks}
    devices.configure(
        logical_cpus=options.logical_cpus,
        intra_op_threads=options.intra_op_threads or max(1, _cores() // parts),
        inter_op_threads=parts,
    )
    strategy = devices.strategy(options.distribute)
    _check_divides(values["batch_size"], strategy.num_replicas_in_sync)
    chief = devices.is_chief()
    directory = RunDirectory(values, owner=chief)
    if chief and (stored := directory.results()):
        return _show(directory, stored)

    train, validation, test = data.load(seed=options.seed, **_data_arguments(values))
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        network = models.BY_NAME[options.model](train.images.shape[1:], train.num_classes)
        model = AdversarialModel(
            sparsity.sparsify(network), attack, objective, seed=options.seed, branches=parts
        )
        model.compile(
            optimizer.build(),
            metrics=["accuracy"],
            jit_compile=options.jit_compile == "on",
            steps_per_execution=options.steps_per_execution or 50,
        )
    if chief:
        directory.start(_config(values))
    measure = Evaluator(model, eval_attacks, objective, seed=options.seed, branches=parts)
    log = RunLog(directory, procedure.iterations)
    earlier: list[int] = []

    def on_start(records: list[dict[str, Any]]) -> None:
        earlier.append(len(records))
        if chief:
            log.start(records)
        if records:
            print(
                f"resuming after round {records[-1]['round']} iteration {records[-1]['iteration']}",
                flush=True,
            )

    with RunProgress(procedure.rounds, procedure.iterations) as progress:

        def on_record(record: dict[str, Any]) -> None:
            if chief:
                log.add(record)
                progress.on_record(record)

        records = procedure.run(
            model,
            train,
            lambda: dict(validation=measure(validation), test=measure(test)) if chief else {},
            pruner=pruner,
            seed=options.seed,
            store=CheckpointStore(directory.file("checkpoints"), read_only=not chief),
            callbacks=[progress] if chief else [],
            on_start=on_start,
            on_record=on_record,
            on_round_end=lambda number: _save_masks(directory, number, model) if chief else None,
        )
    if not chief:
        return directory.path
    results = dict(
        name=os.path.basename(directory.path),
        flags=flags.different(values),
        rounds=summarise(records, options.attack),
        export=_export(directory, model, test),
        seconds=time.monotonic() - begin,
        resumed=bool(earlier[0]),
    )
    figures.draw(directory.file("figures"), records, results["rounds"])
    write_text(directory.file("results.md"), markdown(results))
    write_json(directory.file("results.json"), results)
    return _show(directory, results)


def _attack(name: str, values: dict[str, Any]) -> attacks.Attack | None:
    return None if name == "none" else flags.make(attacks.BY_NAME[name], values)


def _data_arguments(values: dict[str, Any]) -> dict[str, Any]:
    options = flags.make(data.DataOptions, values)
    return vars(options)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _parts(options: flags.RunOptions) -> int:
    """Half batches on two threads were fastest on CPUs; GPUs want whole batches."""
    if options.branches:
        return options.branches
    return 2 if _cores() > 1 and not tf.config.list_physical_devices("GPU") else 1


def _check_divides(batch_size: int, replicas: int) -> None:
    if batch_size % replicas:
        raise InputError(
            f"batch_size={batch_size}: must be a multiple of the {replicas} replicas that share it"
        )


def _config(values: dict[str, Any]) -> dict[str, Any]:
    revision = subprocess.run(
        ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(
        flags=values,
        seed=values["seed"],
        git_revision=revision.stdout.strip() or "unknown",
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
    )


def _save_masks(directory: RunDirectory, number: int, model: AdversarialModel) -> None:
    folder = directory.file("rounds", str(number))
    os.makedirs(folder, exist_ok=True)
    masks = {
        name: mask.numpy().astype(bool) for name, _, mask in sparsity.masked_weights(model.network)
    }
    write_npz(os.path.join(folder, "masks.npz"), masks)


def _export(directory: RunDirectory, model: AdversarialModel, test: data.Split) -> dict[str, Any]:
    path = directory.file("model.tflite")
    with quiet_stderr():
        export.to_saved_model(model, directory.file("saved_model"))
        size = export.to_tflite(model, path)
        return {"tflite_bytes": size, "agreement": export.agreement(model, path, test.images)}


def _show(directory: RunDirectory, results: dict[str, Any]) -> str:
    print_table(table(results))
    agreement = 100 * results["export"]["agreement"]
    print(f"model.tflite predicts what Keras predicts on {agreement:.2f} % of the test images")
    for name in sorted(os.listdir(directory.path)):
        if not name.startswith("."):
            print(directory.file(name))
    return directory.path


def main(argv: list[str]) -> int:
    """The command; returns its exit code: 0, 2 for wrong input, 1 for a run that failed."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    warnings.showwarning = _show_warning
    if "--help" in argv:
        print(flags.help_text())
        return 0
    try:
        print(run(flags.parse(argv)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"error: {error}; the last good checkpoint is kept", file=sys.stderr)
        return 1
    except OSError as error:
        name = error.filename or "a file"
        print(f"error: cannot write {name}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _show_warning(message: Warning, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, RunWarning):
        print(f"warning: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
