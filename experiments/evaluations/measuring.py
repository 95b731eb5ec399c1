"""Measures of a round's network, as in the papers."""

import time
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from experiments.cli.quiet import quiet_stderr
from experiments.evaluations import loading, stored, weights
from experiments.evaluations.measure_options import MeasureOptions, asked
from experiments.evaluations.stored import Measures, Usefulness
from robust_sparse_tf import data, evaluation
from robust_sparse_tf.attacks import FGSM, RFGSM, Ball, CarliniWagner, DeepFool, norms
from robust_sparse_tf.attacks.deepfool import nearest_boundary
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.evaluation.inputs import batches

# DeepFool's authors do not clip, and the theorems on linear models are about inputs of any value.
# The paper's r_2 of linear models is near the theorem's, which needs unclipped inputs.
_LOW, _HIGH = -1e6, 1e6  # no bounds: far outside the range of images
_DEEPFOOL_BATCH = 100  # images; limits the memory
_LIPSCHITZ_BATCH = 20  # images; each needs matrices [inputs, outputs] of layers
# Proposition 3.1 holds for every R, so the largest gamma counts: gamma is at most R, but in larger
# balls more units can be active.
_GAMMA_RADII = (0.01, 0.1, 1.0)

Numbers = dict[str, float]
"""Measures by their names."""


def _r_inf(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """r_inf by FGS and rFGS, and the accuracy; see `evaluation.r_inf`."""
    epsilon = options.r_inf_epsilon
    attacks = {"fgsm": FGSM(epsilon=epsilon), "rfgsm": RFGSM(epsilon=epsilon)}
    found = evaluation.Evaluator(network, attacks, seed=options.seed)(test)
    robust = {f"r_inf_{name}": value for name, value in found["robust_accuracy"].items()}
    return {"accuracy": found["clean_accuracy"], **robust}


def _deepfool(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    attack = DeepFool(steps=options.deepfool_steps, low=_LOW, high=_HIGH)
    return {"r_2_deepfool": evaluation.r_2(network, test, attack)}


def _deepfool_first_step(
    network: keras.Model, test: data.Split, options: MeasureOptions
) -> Numbers:
    """r_2 where images on which DeepFool fails count by its first step, and their share.

    "Sparse DNNs with Improved Adversarial Robustness" (2018), section 4.2, disregards further steps
    of ResNets that resist it.
    """
    attack = DeepFool(steps=options.deepfool_steps, low=_LOW, high=_HIGH)
    total, missed = 0.0, 0
    for _, x, y in batches(test, _DEEPFOOL_BATCH):
        correct = tf.argmax(network(x, training=False), axis=1) == y
        adversarial = attack(network, x, y)
        still = correct & (tf.argmax(network(adversarial, training=False), axis=1) == y)
        gap, _, size = nearest_boundary(network, x, y, attack.candidates, "l2")
        first = (1 + attack.overshoot) * tf.math.divide_no_nan(gap, size)
        found = tf.where(still, first, norms.distance(adversarial - x, "l2"))
        total += float(tf.reduce_sum(tf.where(correct, found, 0.0)))
        missed += int(tf.math.count_nonzero(still))
    return {"r_2_deepfool_first": total / test.size, "deepfool_missed": missed / test.size}


def _carlini_wagner(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    attack = CarliniWagner(
        binary_searches=options.cw_searches,
        steps=options.cw_steps,
        initial_constant=options.cw_constant,
    )
    return {"r_2_carlini_wagner": evaluation.r_2(network, test.first(options.cw_examples), attack)}


def _clever(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """The mean score; misclassified examples count as 0, as in r_2."""
    few = test.first(options.clever_examples)
    ((_, x, y),) = batches(few, few.size)
    scores = evaluation.clever(
        network,
        x,
        Ball("l2", options.clever_radius),
        batches=options.clever_batches,
        samples=options.clever_samples,
        seed=options.seed,
    )
    correct = np.argmax(network(x, training=False), axis=1) == y.numpy()
    return {"clever": float(np.mean(np.where(correct, scores, 0)))}


def _bounds(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """Bounds as the theorems state them, and exact: with the classes' fractions and biases."""
    binary = test.num_classes == 2
    bounds = evaluation.binary_bounds if binary else evaluation.multiclass_bounds
    stated = bounds(network, test, options.r_inf_epsilon)
    exact = bounds(network, test, options.r_inf_epsilon, as_stated=False)
    return {
        "bound_r_2": stated.r_2,
        "bound_r_inf": stated.r_inf,
        "bound_r_2_exact": exact.r_2,
        "bound_r_inf_exact": exact.r_inf,
    }


def _lipschitz(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """The mean, over examples, of the largest constant of all classes."""
    found = {}
    for norm in ("l2", "linf"):
        ball = Ball(norm, options.lipschitz_radius)
        constants = [
            np.max(evaluation.local_lipschitz(network, x, ball), axis=1)
            for _, x, _ in batches(test.first(options.lipschitz_examples), _LIPSCHITZ_BATCH)
        ]
        found[f"lipschitz_{norm}"] = float(np.mean(np.concatenate(constants)))
    return found


def _gamma(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """The mean gamma of proposition 3.1; misclassified examples count as 0, as in r_2."""
    found = {}
    for norm in ("l2", "linf"):
        balls, gammas = [Ball(norm, radius) for radius in _GAMMA_RADII], []
        for _, x, y in batches(test.first(options.lipschitz_examples), _LIPSCHITZ_BATCH):
            safe = np.max([evaluation.safe_distance(network, x, ball) for ball in balls], axis=0)
            correct = np.argmax(network(x, training=False), axis=1) == y.numpy()
            gammas.append(np.where(correct, safe, 0))
        found[f"gamma_{norm}"] = float(np.mean(np.concatenate(gammas)))
    return found


def _activation_sparsity(
    network: keras.Model, test: data.Split, options: MeasureOptions
) -> Numbers:
    """Activation sparsity of the input of the last layer."""
    *_, last = evaluation.activation_sparsity(network, test).values()
    return {"activation_sparsity": last}


def _usefulness(network: keras.Model, test: data.Split) -> Usefulness:
    found = evaluation.usefulness(network, test)
    return Usefulness(
        weights=found.weights.tolist(),
        raw=found.raw.tolist(),
        raw_robust=found.raw_robust.tolist(),
        weighted=found.weighted.tolist(),
        weighted_robust=found.weighted_robust.tolist(),
        normalised=found.normalised.tolist(),
        normalised_robust=found.normalised_robust.tolist(),
    )


_NUMBERS: dict[str, Callable[[keras.Model, data.Split, MeasureOptions], Numbers]] = {
    "r_inf": _r_inf,
    "deepfool": _deepfool,
    "deepfool_first_step": _deepfool_first_step,
    "carlini_wagner": _carlini_wagner,
    "clever": _clever,
    "bounds": _bounds,
    "lipschitz": _lipschitz,
    "gamma": _gamma,
    "activation_sparsity": _activation_sparsity,
}


def of_network(network: keras.Model, test: data.Split, options: MeasureOptions) -> Numbers:
    """Takes the measures of a network that are numbers.

    Raises:
        InputError: for a measure that the network does not support.
    """
    found: Numbers = {}
    for name in options.measures:
        found |= _NUMBERS[name](network, test, options)
    return found


def of_round(
    folder: str,
    test: data.Split,
    options: MeasureOptions,
    show: Callable[[str, int], None] = lambda name, number: None,
) -> Measures:
    """Takes all measures that a round's network supports; the others get a reason.

    Args:
        folder: folder of the round.
        test: the test images.
        options: options of the measurement.
        show: called with the name and number, from 0, of each measure as it begins.
    """
    begin = time.monotonic()
    model = stored.identity(folder)  # before it is loaded, as a run may replace it in the meantime
    network = loading.network(folder, trust=options.trust, modules=options.modules)
    numbers: Numbers = {}
    usefulness: Usefulness | None = None
    of_weights: stored.Weights | None = None
    missing: dict[str, str] = {}
    with warnings.catch_warnings(record=True) as told, quiet_stderr():
        warnings.simplefilter("always", RunWarning)
        for number, name in enumerate(options.measures):
            show(name, number)
            try:
                if name == "usefulness":
                    usefulness = _usefulness(network, test)
                elif name == "weights":
                    numbers["connections"] = weights.connections(network)
                    of_weights = weights.of_network(network)
                else:
                    numbers |= _NUMBERS[name](network, test, options)
            except InputError as error:
                missing[name] = str(error)
    return Measures(
        options=asked(options),
        images=test.size,
        numbers=numbers,
        usefulness=usefulness,
        missing=missing,
        warnings=[str(each.message) for each in told if issubclass(each.category, RunWarning)],
        seconds=time.monotonic() - begin,
        model=model,
        weights=of_weights,
    )
