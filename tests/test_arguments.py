"""Arguments of functions and constructors are checked as options are: type and range."""

import math

import numpy as np
import pytest
from wrong_values import (
    BATCHES,
    COUNTS,
    FLAGS,
    FRACTIONS,
    GIVEN_COUNTS,
    IMAGES,
    LABELS,
    MODELS,
    OTHERS,
    PAIRS,
    PATHS,
    RADII,
    SEEDS,
    SPLIT,
    TENSORS,
    TEXTS,
    assert_refused,
    cases,
    model,
    several,
)

import robust_sparse_tf as rst
from robust_sparse_tf import attacks, evaluation, sparsity
from robust_sparse_tf.data import Gather, Split
from robust_sparse_tf.errors import InputError


def split(**given):
    return Split(IMAGES, LABELS, **dict(num_classes=2, batch_size=2) | given)


def evaluate(**given):
    asked = dict(attacks={"fgsm": attacks.FGSM()}, check_masking=False)
    return rst.evaluate(model(), SPLIT, **asked | given)


def projected(**given):
    return rst.Ball("linf", 0.1).project(**dict(x=IMAGES, adversarial=IMAGES) | given)


def gather(**given):
    return Gather(**dict(images=IMAGES, labels=LABELS) | given)


def clipped(**given):
    return rst.Ball("linf", 0.1).clip(**given)


def attacked(**given):
    return attacks.FGSM()(model(), IMAGES, LABELS, **given)


def targeted(**given):
    return attacks.FGSM(targeted=True)(model(), IMAGES, **dict(y=None, targets=LABELS) | given)


def certified(**given):
    asked = given if "ball" in given else dict(epsilon=0.1) | given
    return evaluation.certified_accuracy(model(), SPLIT, **asked)


def steepness(**given):
    asked = dict(x=IMAGES, ball=rst.Ball("l2", 0.1))
    return evaluation.local_lipschitz(model(), **asked | given)


def distance(**given):
    return evaluation.r_2(model(), SPLIT, attacks.DeepFool(), **given)


def useful(**given):
    return evaluation.usefulness(**dict(model=model(), data=SPLIT) | given)


def report(**given):
    found = evaluation.Report(
        labels=LABELS, predictions=LABELS, judged=LABELS[:, None] < 2, outcomes=[], warnings=[],
        pictures={},
    )  # fmt: skip
    return found.row(**dict(attack="clean") | given)


def saved(**given):
    return evaluation.save(**dict(report=None, folder="") | given)


def interval(**given):
    return evaluation.wilson(**dict(successes=1, n=2) | given)


def clever(**given):
    return evaluation.clever(model(), IMAGES, **given)


def silent(**given):
    return evaluation.activation_sparsity(**dict(model=model(), data=SPLIT) | given)


def margins(**given):
    return rst.bounds.margin_bounds(model(), IMAGES, ball=rst.Ball("linf", 0.1), **given)


def masked(**given):
    asked = dict(model=model(), x=IMAGES, ball=rst.Ball("l2", 0.1), pruned=0.5, draws=2)
    return evaluation.masked_lipschitz(**asked | given)


def bounds(**given):
    return evaluation.binary_bounds(model(), SPLIT, **dict(epsilon=0.1) | given)


def mlp(**given):
    return rst.models.mlp(**given)


def transfer(**given):
    return attacks.Transfer(**dict(attack=attacks.FGSM(), sources=(model(),)) | given)


def intensity(**given):
    return attacks.RandomIntensity(**dict(attack=attacks.FGSM()) | given)


def drawn(**given):
    return intensity(**given).drawn((0, 0))


SEVERAL = [several(inputs=2), several(outputs=2)]
TABLE = [
    (split, "num_classes", COUNTS),
    (split, "batch_size", COUNTS),
    (split, "seed", SEEDS),
    (split, "shuffle", FLAGS),
    (split, "augment", ["crop", None, 1]),
    (SPLIT.first, "count", COUNTS),
    (rst.data.load, "batch_size", COUNTS),
    (rst.data.load, "seed", [-1, *SEEDS]),
    (rst.data.load, "train_size", GIVEN_COUNTS),
    (rst.data.load, "test_size", GIVEN_COUNTS),
    (rst.data.load, "augment", ["crop", None, 1]),
    (rst.data.load, "validation_size", GIVEN_COUNTS),
    (rst.data.load, "validation_split", ["last", None, 1]),
    (rst.data.load, "classes", ["12", 1, [1.5], [1], ["１", "7"], None]),
    (rst.data.load, "dataset", ["imagenet", None, 1]),
    (rst.data.load, "data_dir", [path for path in PATHS if path is not None]),
    (evaluate, "passes", COUNTS),
    (evaluate, "batch_size", GIVEN_COUNTS),
    (evaluate, "draws", GIVEN_COUNTS),
    (evaluate, "training", ["x", 1, [IMAGES], (IMAGES,), object()]),
    (evaluate, "seed", SEEDS),
    (evaluate, "check_masking", FLAGS),
    (evaluate, "ball", OTHERS),
    (evaluate, "epsilons", [0.3, "0.3", "", b"1", {0.3: 1}, *([radius] for radius in RADII)]),
    (evaluate, "attacks", ["best", 1, None, [attacks.FGSM()], {"a": "fgsm"}, {1: attacks.FGSM()}]),
    (evaluate, "state", ["", 1, b"x", object()]),
    (evaluate, "identity", [None, *TEXTS]),
    (evaluate, "sources", [None, "m", 1, {}, {model}]),
    (evaluate, "on_batch", [None, 1, "print", len]),
    (attacked, "seed", PAIRS),
    (targeted, "y", ["x", 1, object(), [], IMAGES, LABELS[:1], LABELS - 0.5]),
    (targeted, "targets", [None, "x", 1, object(), [], IMAGES, LABELS[:1], LABELS + 1]),
    (clipped, "x", [None, "x", object(), [[1], [1, 2]], ["a"], 1j]),
    (SPLIT.index_batches, "first_step", [n for n in COUNTS if n != 0]),
    (attacks.PGD(step_size=0.1).at, "epsilon", RADII),
    (
        projected,
        "x",
        [None, "x", 1, IMAGES[:, :1], LABELS, object(), [[1], [1, 2]], IMAGES * math.nan],
    ),
    (projected, "adversarial", [None, "x", 1, IMAGES[:, :1], object(), IMAGES + math.inf]),
    (gather, "images", [None, "x", 1, LABELS, object(), IMAGES * math.nan]),
    (gather(), "numbers", [None, "x", 1.5, -1, [0, 4], [0.0], {1}, object(), IMAGES]),
    (gather, "labels", [None, "x", 1, LABELS + 0.5, LABELS[:1], object()]),
    (interval, "n", COUNTS),
    (interval, "successes", [n for n in COUNTS if n != 0] + [3]),
    (interval, "level", FRACTIONS),
    (clever, "batches", COUNTS),
    (clever, "samples", COUNTS),
    (clever, "ball", OTHERS),
    (clever, "seed", SEEDS),
    (certified, "ball", [None, attacks.FGSM(), *OTHERS]),
    (certified, "epsilon", [attacks.FGSM(), *RADII]),
    (certified, "batch_size", COUNTS),
    (certified, "method", [None, "exact", 1]),
    (steepness, "ball", [None, attacks.FGSM(), *OTHERS]),
    (steepness, "x", [None, "x", IMAGES[:, :1], IMAGES + 2, IMAGES * math.nan]),
    (distance, "seed", SEEDS),
    (useful, "attack", [None, attacks.FGSM(), *OTHERS]),
    (useful, "model", [*MODELS, *SEVERAL]),
    (useful, "data", [*BATCHES[:5], (IMAGES[:, :1], LABELS), (IMAGES, LABELS + 1)]),
    (silent, "model", [*MODELS, *SEVERAL]),
    (silent, "data", [*BATCHES[:5], (IMAGES[:, :1], LABELS)]),
    (margins, "y", [None, "x", [], LABELS[:2], LABELS + 1, LABELS - 0.5, IMAGES]),
    (masked, "model", [*MODELS, *SEVERAL]),
    (masked, "x", [None, "x", IMAGES[:, :1], IMAGES + 2, IMAGES * math.nan]),
    (masked, "pruned", FRACTIONS[2:]),
    (report, "attack", [None, "worst", *TEXTS]),
    (report, "norm", TEXTS),
    (report, "epsilon", [radius for radius in RADII if radius is not None]),
    (saved, "report", [None, "x", {}]),
    (bounds, "epsilon", [0, *RADII]),
    (bounds, "as_stated", FLAGS),
    (mlp, "num_classes", [1, *COUNTS]),
    (mlp, "width", [0, 10**30, -1, "1", None, True, math.nan, math.inf]),
    (mlp, "input_shape", [5, "28", b"abc", (28, 28), (0, 28, 1), None, (2.5, 2, 1)]),
    (mlp, "hidden", [5, "3", b"3", [], [0], [1.5], [True], None]),
    (mlp, "use_bias", FLAGS),
    (mlp, "mean", ["0.5", b"x", True, {0.5}, {0: 1}, [1, 2], math.nan, object()]),
    (mlp, "std", [0, "0.5", b"x", True, {0.5}, {0: 1}, [1, 2], math.inf]),
    (rst.models.binary_linear, "num_classes", [3, None, True, np.zeros(2)]),
    (transfer, "attack", [None, *OTHERS]),
    (transfer, "sources", [(), None, 1, "m", ["m"], [attacks.FGSM()], [attacks.FGSM]]),
    (transfer, "high", [None, "1", 2.0]),
    (intensity, "attack", [None, *OTHERS]),
    (intensity, "distribution", [1, "normal", attacks.FGSM, attacks.FGSM(), model(), dict.get]),
    (intensity, "epsilon", [*RADII, *TENSORS]),
    (intensity, "norm", [None, 1, "l2", "l3"]),
    (intensity, "low", [None, "0", -1.0]),
    (drawn, "distribution", [lambda seed: "x", lambda seed: [0.1, 0.2]]),
    (attacks.PGD, "epsilon", [*RADII, *TENSORS]),
    (rst.export.tflite_function, "content", [None, "x", 1, b"x", object()]),
]


@pytest.mark.parametrize(("call", "name", "values"), cases(TABLE))
def test_wrong_arguments_are_refused(call, name, values):
    assert_refused(call, name, values)


WRITERS = [
    rst.export.to_keras3,
    rst.export.to_onnx,
    rst.export.to_packed,
    rst.export.to_saved_model,
    rst.export.to_tflite,
]
OF_MODELS = [
    *WRITERS,
    rst.export.compact,
    rst.export.quantization_aware,
    rst.strip,
    sparsity.dense_layers,
    sparsity.densities,
    sparsity.layer_states,
    sparsity.prunable_weights,
    sparsity.silence_tfmot,
    sparsity.statistics,
    sparsity.store_masked,
    sparsity.wrap,
    sparsity.Magnitude().prune,
]


@pytest.mark.parametrize("call", OF_MODELS, ids=lambda call: call.__name__)
def test_functions_of_models_take_models_alone(call):
    for given in MODELS:
        with pytest.raises(InputError, match="must be a tf_keras model"):
            call(given, *(["folder"] if call in WRITERS else []))


@pytest.mark.parametrize("call", WRITERS, ids=lambda call: call.__name__)
def test_writers_take_paths_alone(call):
    for path in PATHS:
        with pytest.raises(InputError, match="^path="):
            call(model(), path)


def test_numpys_numbers_are_taken():
    found = split(batch_size=np.int64(2), num_classes=np.uint8(2), shuffle=np.bool_(False))
    assert (type(found.batch_size), found.batch_size) == (int, 2)
    assert rst.AdversarialModel(model(), seed=np.int32(3), branches=np.int8(1)).seed == 3
    assert rst.data.load(classes=np.array([1, 7]))[0].num_classes == 2
