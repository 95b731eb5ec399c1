"""Measures the networks of a run's rounds, as the studies do."""

import dataclasses
import hashlib
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import numpy as np
    import tf_keras as keras

    from experiments import command, flags, loading
    from experiments.directory import write_json
    from robust_sparse_tf import data, evaluation
    from robust_sparse_tf.attacks import FGSM, RFGSM, CarliniWagner, DeepFool
    from robust_sparse_tf.errors import InputError, RunWarning
    from robust_sparse_tf.evaluation.margins import batches
    from robust_sparse_tf.options import check, option

# DeepFool's authors clip nothing, and the theorems on linear models speak of inputs of any value.
# The study's r_2 of linear models are near the theorem's, and can only so be.
_UNCLIPPED = {"clip_min": -1e6, "clip_max": 1e6}
_LIPSCHITZ_BATCH = 20  # images; each needs matrices of a layer's inputs by its outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Which networks are measured, and how."""

    model: str = option("", "a run's directory, with the networks of its rounds")
    rounds: list = option([], "rounds, separated by commas (default: all)")
    measures: list = option(
        ["r_inf", "deepfool", "activation_sparsity"],
        "what is measured, separated by commas",
        choices=(
            "r_inf",
            "deepfool",
            "carlini_wagner",
            "clever",
            "bounds",
            "lipschitz",
            "activation_sparsity",
            "usefulness",
        ),
    )
    data_dir: str = option("", "folder of prepared TFDS data, as in experiments.run")
    examples: int = option(0, "test images (0: all)", unit="images", minimum=0)
    epsilon: float = option(0.1, "of FGS and rFGS, and of the bounds on r_inf", above=0)
    deepfool_steps: int = option(50, "most steps of DeepFool", unit="steps", minimum=1)
    cw_examples: int = option(1000, "test images for Carlini-Wagner", unit="images", minimum=1)
    cw_searches: int = option(9, "constants tried by Carlini-Wagner", minimum=1)
    cw_steps: int = option(1000, "steps of a search of Carlini-Wagner", unit="steps", minimum=1)
    cw_constant: float = option(0.001, "first constant of Carlini-Wagner", above=0)
    clever_examples: int = option(100, "test images for CLEVER", unit="images", minimum=1)
    clever_batches: int = option(500, "maxima to which CLEVER fits its distribution", minimum=1)
    clever_samples: int = option(1024, "gradients of which each maximum is one", minimum=1)
    clever_radius: float = option(5.0, "l2 radius of CLEVER's ball", unit="input units", above=0)
    lipschitz_examples: int = option(100, "test images for lemma 3.1", unit="images", minimum=1)
    lipschitz_radius: float = option(0.1, "of lemma 3.1's ball", unit="input units", minimum=0)
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)

    def __post_init__(self) -> None:
        check(self)
        if not all(word.isdecimal() for word in self.rounds):
            raise InputError(f"rounds={','.join(self.rounds)}: must be whole numbers from 0")


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(flags.describe(MeasureOptions, "python -m experiments.measure --model=RUN"))
        return 0
    # Each network is traced anew, which TensorFlow advises against.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    interrupted = "interrupted; the same command goes on with the rounds that are left"
    return command.exit_code(lambda: _measure(argv), interrupted)


def parse(argv: list[str]) -> MeasureOptions:
    """The options of a command line, whose first word is the program's name.

    Raises:
        InputError: for what is not allowed.
    """
    return flags.make(MeasureOptions, flags.parse_group(argv, MeasureOptions))


def _measure(argv: list[str]) -> int:
    options = parse(argv)
    if not options.model:
        raise InputError("model: must be given, as in --model=runs/RUN")
    found = paths(options.model, options)
    if not found:
        raise InputError(f"model={options.model}: holds no network of a round (rounds/N)")
    test = loading.images(options.model, "", options.data_dir, options.examples)
    for path in found:
        if not os.path.exists(path):
            write_json(path, _of_round(os.path.dirname(path), test, options))
        print(path, flush=True)
    return 0


def paths(run: str, options: MeasureOptions) -> list[str]:
    """The files of the measures of each round; named by what is asked, whether there or not.

    Args:
        run: its directory; without rounds given, those whose networks are there.
        options: what is asked.
    """
    numbers = [int(word) for word in options.rounds]
    if not numbers and os.path.isdir(os.path.join(run, "rounds")):
        numbers = sorted(map(int, os.listdir(os.path.join(run, "rounds"))))
    asked = json.dumps(_asked(options), sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return [os.path.join(run, "rounds", str(n), f"measures-{digest}.json") for n in numbers]


def _asked(options: MeasureOptions) -> dict[str, Any]:
    """What decides on the measures of a network."""
    places = ("model", "rounds", "data_dir")
    return {name: value for name, value in vars(options).items() if name not in places}


def _of_round(folder: str, test: data.Split, options: MeasureOptions) -> dict[str, Any]:
    """The measures of a network, None for one that cannot be taken, and why it cannot."""
    begin = time.monotonic()
    network = loading.network(folder)
    measures: Measures = {}
    missing: dict[str, str] = {}
    with warnings.catch_warnings(record=True) as told, quiet_stderr():
        warnings.simplefilter("always", RunWarning)
        for name in options.measures:
            try:
                measures |= _MEASURES[name](network, test, options)
            except InputError as error:
                missing[name] = str(error)
    return {
        "options": _asked(options),
        "images": test.size,
        "measures": measures,
        "missing": missing,
        "warnings": [str(each.message) for each in told if issubclass(each.category, RunWarning)],
        "seconds": time.monotonic() - begin,
    }


Measures = dict[str, Any]


def _r_inf(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    """By FGS and rFGS, and the accuracy; see `evaluation.r_inf`, which takes one attack."""
    attacks = {"fgsm": FGSM(epsilon=options.epsilon), "rfgsm": RFGSM(epsilon=options.epsilon)}
    found = evaluation.Evaluator(network, attacks, seed=options.seed)(test)
    robust = {f"r_inf_{name}": value for name, value in found["robust_accuracy"].items()}
    return {"accuracy": found["clean_accuracy"], **robust}


def _deepfool(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    attack = DeepFool(steps=options.deepfool_steps, **_UNCLIPPED)
    return {"r_2_deepfool": evaluation.r_2(network, test, attack)}


def _carlini_wagner(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    attack = CarliniWagner(
        binary_searches=options.cw_searches,
        steps=options.cw_steps,
        initial_constant=options.cw_constant,
    )
    return {"r_2_carlini_wagner": evaluation.r_2(network, test.first(options.cw_examples), attack)}


def _clever(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    """The mean score; a misclassified example counts 0, as in r_2."""
    few = test.first(options.clever_examples)
    ((_, x, y),) = batches(few, few.size)
    scores = evaluation.clever(
        network,
        x,
        radius=options.clever_radius,
        batches=options.clever_batches,
        samples=options.clever_samples,
        seed=options.seed,
    )
    correct = np.argmax(network(x, training=False), axis=1) == y.numpy()
    return {"clever": float(np.mean(np.where(correct, scores, 0)))}


def _bounds(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    """As the theorems state them, and exact: each class by its share, and with its bias."""
    binary = test.num_classes == 2
    bounds = evaluation.binary_bounds if binary else evaluation.multiclass_bounds
    stated = bounds(network, test, options.epsilon)
    exact = bounds(network, test, options.epsilon, as_stated=False)
    return {
        "bound_r_2": stated.r_2,
        "bound_r_inf": stated.r_inf,
        "bound_r_2_exact": exact.r_2,
        "bound_r_inf_exact": exact.r_inf,
    }


def _lipschitz(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    """Of each example the largest constant of all classes; their mean."""
    found = {}
    for norm in ("l2", "linf"):
        constants = [
            np.max(evaluation.local_lipschitz(network, x, options.lipschitz_radius, norm=norm), 1)
            for _, x, _ in batches(test.first(options.lipschitz_examples), _LIPSCHITZ_BATCH)
        ]
        found[f"lipschitz_{norm}"] = float(np.mean(np.concatenate(constants)))
    return found


def _activation_sparsity(
    network: keras.Model, test: data.Split, options: MeasureOptions
) -> Measures:
    """Of the layer that feeds the last one."""
    *_, last = evaluation.activation_sparsity(network, test).values()
    return {"activation_sparsity": last}


def _usefulness(network: keras.Model, test: data.Split, options: MeasureOptions) -> Measures:
    """Of each feature, lists by name; see `evaluation.Usefulness`."""
    del options
    found = vars(evaluation.usefulness(network, test))
    return {"usefulness": {name: values.tolist() for name, values in found.items()}}


_MEASURES: dict[str, Callable[[keras.Model, data.Split, MeasureOptions], Measures]] = {
    "r_inf": _r_inf,
    "deepfool": _deepfool,
    "carlini_wagner": _carlini_wagner,
    "clever": _clever,
    "bounds": _bounds,
    "lipschitz": _lipschitz,
    "activation_sparsity": _activation_sparsity,
    "usefulness": _usefulness,
}


if __name__ == "__main__":
    command.leave(main(sys.argv))
