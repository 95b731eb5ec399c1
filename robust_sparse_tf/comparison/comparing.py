"""Trains several methods with several seeds, and evaluates all in the same way."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent, Attack, Ball, RandomIntensity
from robust_sparse_tf.comparison.comparison import Comparison, Trial
from robust_sparse_tf.data import Split
from robust_sparse_tf.durations import in_words
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.evaluation.inputs import Data
from robust_sparse_tf.evaluation.robustness import evaluate, plan
from robust_sparse_tf.models.network import require_tf_keras
from robust_sparse_tf.options import checked, require_function, shown
from robust_sparse_tf.sparsity import Method, densities, sparsify
from robust_sparse_tf.tensors import as_array, as_labels
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.objectives import Objective

_BATCH_SIZE = 32  # the default for arrays, as in tf_keras


def compare(
    methods: Mapping[str, Method | None],
    build: Callable[[], keras.Model],
    train: Data,
    test: Data,
    *,
    attack: Ascent | RandomIntensity | None = None,
    objective: Objective | None = None,
    optimizer: keras.optimizers.Optimizer | str = "adam",
    epochs: int = 1,
    seeds: int | Sequence[int] = 3,
    evaluate_with: str | Mapping[str, Attack] = "quick",
    epsilons: Sequence[float] = (),
    ball: Ball | None = None,
    check_masking: bool = True,
    verbose: bool = True,
    **fit: Any,
) -> Comparison:
    """Trains a network with each method and seed, and evaluates all under the same attacks.

    A seed sets everything that is random in a training: Python, NumPy and TensorFlow, the method,
    the training attack, and the order of a `Split` or of arrays. A `tf.data.Dataset` keeps its own
    order. Every method is tried on a network before the first training. A training whose loss does
    not stay finite is left out of the table, with a warning.

    Args:
        methods: methods by their names in the table; None for a dense network.
        build: returns a new network each time, a tf_keras model that `AdversarialModel` takes.
        train: a `Split`, (images, labels), or a `tf.data.Dataset` of batches of such pairs.
        test: test data, as `evaluate` takes it.
        attack: training attack; None for training without one.
        objective: the loss of training, see `AdversarialModel`.
        optimizer: a name, or a tf_keras optimizer, of which each training gets a copy.
        epochs: number of epochs of each training.
        seeds: a number of seeds, counted from 0, or a list of them.
        evaluate_with: attacks of the evaluation, see `attacks` of `evaluate`.
        epsilons: see `evaluate`.
        ball: see `evaluate`.
        check_masking: see `evaluate`.
        verbose: whether to print a line for each training, with the time left.
        **fit: other arguments of `AdversarialModel.fit`, such as `batch_size`, `callbacks`.

    Raises:
        InputError: if methods, networks, data or attacks do not fit; raised before any training.
        TrainingError: if no training has a finite loss.
    """
    named = _methods(methods)
    numbers = _seeds(seeds)
    epochs = checked("epochs", epochs, int, minimum=1)
    verbose = checked("verbose", verbose, bool)
    check_masking = checked("check_masking", check_masking, bool)
    require_function("build", build, 0)
    own_optimizer = _optimizer(optimizer)
    batches = _batches(train, fit.get("batch_size") or _BATCH_SIZE)

    def make(method: Method | None, seed: int) -> AdversarialModel:
        keras.utils.set_random_seed(seed)
        keras.backend.reset_uids()  # so that the layers of all networks have the same names
        network = build()
        require_tf_keras(network)
        if method is not None:
            network = sparsify(network, dataclasses.replace(method, seed=seed), data=batches)
        made = AdversarialModel(network, attack, objective, seed=seed)
        made.compile(own_optimizer.from_config(own_optimizer.get_config()), metrics=["accuracy"])
        return made

    tried = [make(method, numbers[0]) for method in [*named.values(), None]]
    _require_new(*tried[-2:])
    plan(tried[0], test, evaluate_with, epsilons, ball)
    del tried
    trials: list[Trial] = []
    diverged: list[str] = []
    progress = _Progress(len(named) * len(numbers), verbose)
    for seed in numbers:
        ordered = _ordered(train, seed)
        x, y = ordered if isinstance(ordered, tuple) else (ordered, None)
        for name, method in named.items():
            model = make(method, seed)
            started = time.monotonic()
            with _without_warnings_of_tracing():
                model.fit(x, y, epochs=epochs, verbose=0, **fit)
            seconds = time.monotonic() - started
            if (step := int(model.nonfinite_step.numpy())) >= 0:
                diverged.append(f"{name}, seed {seed}: the loss is not finite from step {step} on")
                progress.show(f"{diverged[-1]}; left out of the table")
                continue
            report = evaluate(
                model,
                test,
                evaluate_with,
                epsilons,
                ball=ball,
                check_masking=check_masking,
                verbose=False,
            )
            density, _ = densities(model)
            trial = Trial(method=name, seed=seed, density=density, seconds=seconds, report=report)
            trials.append(trial)
            progress.show(_line(trial))
    if not trials:
        raise TrainingError("; ".join(diverged) + "; a lower learning rate may help")
    order = list(named)
    trials.sort(key=lambda trial: order.index(trial.method))
    return Comparison(trials=trials, diverged=diverged)


@contextlib.contextmanager
def _without_warnings_of_tracing() -> Iterator[None]:
    """Hides TensorFlow's warning of retracing, as each training traces its own step."""

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


class _Progress:
    """Prints a line as each training ends, with the time left.

    Args:
        total: number of trainings.
        verbose: whether anything is printed.
    """

    def __init__(self, total: int, verbose: bool) -> None:
        self._total, self._verbose = total, verbose
        self._done, self._started = 0, time.monotonic()

    def show(self, words: str) -> None:
        """Prints the result of a training."""
        self._done += 1
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self._total - self._done)
        ending = f", about {in_words(left)} left" if left else f" in {in_words(seconds)}"
        if self._verbose:
            print(f"{words}; {self._done} of {self._total} done{ending}", flush=True)


def _line(trial: Trial) -> str:
    """For example "rigl, seed 0: density 10.0 %, clean 93.61 %, worst at 0.1 60.83 %"."""
    rows = Comparison(trials=[trial]).main_rows()
    accuracies = [f"{row['title']} {100 * row['mean']:.2f} %" for row in rows]
    words = ", ".join([f"density {100 * trial.density:.1f} %", *accuracies])
    return f"{trial.method}, seed {trial.seed}: {words}, trained for {in_words(trial.seconds)}"


def _methods(methods: Mapping[str, Method | None]) -> dict[str, Method | None]:
    if not isinstance(methods, Mapping) or not methods:
        raise InputError(
            f"methods={shown(methods)}: must be methods by name, as in {{'rigl': RigL()}}"
        )
    for name, method in methods.items():
        checked("name of a method", name, str)
        if not isinstance(method, Method | None):
            raise InputError(
                f"methods[{name!r}]={shown(method)}: must be a method of rst.sparsity, or None for "
                "a dense network"
            )
    return dict(methods)


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, Sequence) or isinstance(seeds, str | bytes):
        return list(range(checked("seeds", seeds, int, minimum=1)))
    found = [checked("seed", seed, int, minimum=0) for seed in seeds]
    if not found or len(set(found)) < len(found):
        raise InputError(f"seeds={shown(seeds)}: must be a number of seeds, or a list")
    return found


def _optimizer(optimizer: keras.optimizers.Optimizer | str) -> keras.optimizers.Optimizer:
    try:
        return keras.optimizers.get(optimizer)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"optimizer={shown(optimizer)}: must be a tf_keras optimizer or its name"
        ) from error


def _batches(train: Data, batch_size: int) -> tf.data.Dataset:
    """The training data as batches, for methods that need gradients first."""
    if isinstance(train, tf.data.Dataset):  # a `Split` is one, too
        return train
    if not isinstance(train, tuple) or len(train) != 2:
        raise InputError(
            f"train of type {type(train).__name__}: must be a Split, (images, labels), or a "
            "tf.data.Dataset of batches"
        )
    images, labels = as_array("images", train[0]), as_labels("labels", train[1])
    if not len(images) or len(images) != len(labels):
        raise InputError(f"train of {len(images)} images and {len(labels)} labels: must be alike")
    batch_size = checked("batch_size", batch_size, int, minimum=1)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)


def _ordered(train: Data, seed: int) -> Data:
    """The training data; the seed sets the order of a `Split`."""
    if not isinstance(train, Split):
        return train
    return Split(
        train.images,
        train.labels,
        num_classes=train.num_classes,
        batch_size=train.batch_size,
        shuffle=True,
        seed=seed,
    )


def _require_new(one: AdversarialModel, other: AdversarialModel) -> None:
    """Raises `InputError` if two networks share weights."""
    known = {id(variable) for variable in one.network.weights}
    if any(id(variable) in known for variable in other.network.weights):
        raise InputError("build: returned a network that shares weights with the one before")
