"""Arguments of functions and constructors are checked as options are: type and range."""

import math

import numpy as np
import pytest

import robust_sparse_tf as rst
from robust_sparse_tf import attacks, callbacks, evaluation, procedures, sparsity
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError

IMAGES, LABELS = np.zeros([4, 2, 2, 1], np.float32), np.array([0, 1, 0, 1])
SPLIT = Split(IMAGES, LABELS, num_classes=2, batch_size=2)
COUNTS = [0, -1, 1.5, "2", None, True, [2], math.nan, 2**63, object()]
SEEDS = [1.5, "0", None, True, [0], 2**63]
FLAGS = [0, 1, "yes", None, []]
FRACTIONS = [0, 1, -0.5, 2, "0.5", None, True, math.nan, math.inf]
RADII = [-1.0, "0.3", None, True, [0.1], math.nan, math.inf, object()]
OTHERS = ["rigl", 0.3, attacks.PGD, object(), {}]


def model():
    return rst.models.mlp((2, 2, 1), 2, hidden=[3])


def split(**given):
    return Split(IMAGES, LABELS, **dict(num_classes=2, batch_size=2) | given)


def evaluate(**given):
    asked = dict(attacks={"fgsm": attacks.FGSM()}, check_masking=False)
    return rst.evaluate(model(), SPLIT, **asked | given)


def adversarial(**given):
    return rst.AdversarialModel(model(), **given)


def sparsify(**given):
    return rst.sparsify(model(), **given)


def watch(**given):
    return callbacks.CatastrophicOverfitting(SPLIT, **given)


def rewind(**given):
    return callbacks.Rewind(**dict(round_epochs=1) | given)


def regrow(**given):
    return callbacks.Regrow(**dict(method=sparsity.SET()) | given)


def evaluator(**given):
    return evaluation.Evaluator(model(), **given)


def interval(**given):
    return evaluation.wilson(**dict(successes=1, n=2) | given)


def clever(**given):
    return evaluation.clever(model(), IMAGES, **given)


def bounds(**given):
    return evaluation.binary_bounds(model(), SPLIT, **given)


def mlp(**given):
    return rst.models.mlp(**given)


def transfer(**given):
    return attacks.Transfer(**dict(attack=attacks.FGSM(), sources=(model(),)) | given)


def intensity(**given):
    return attacks.RandomIntensity(**dict(attack=attacks.FGSM()) | given)


TABLE = [
    (split, "num_classes", COUNTS),
    (split, "batch_size", COUNTS),
    (split, "seed", SEEDS),
    (split, "shuffle", FLAGS),
    (SPLIT.first, "count", COUNTS),
    (rst.data.load, "batch_size", COUNTS),
    (rst.data.load, "seed", [-1, *SEEDS]),
    (rst.data.load, "test_size", [n for n in COUNTS if n is not None]),
    (rst.data.load, "validation_size", [n for n in COUNTS if n is not None]),
    (rst.data.load, "classes", ["12", 1, [1.5], [1], ["１", "7"], None]),
    (rst.data.load, "dataset", ["imagenet", None, 1]),
    (evaluate, "draws", COUNTS),
    (evaluate, "batch_size", COUNTS),
    (evaluate, "seed", SEEDS),
    (evaluate, "check_masking", FLAGS),
    (evaluate, "ball", OTHERS),
    (evaluate, "epsilons", [0.3, "0.3", *([radius] for radius in RADII)]),
    (evaluate, "attacks", ["best", 1, None, [attacks.FGSM()], {"fgsm": "fgsm"}]),
    (evaluate, "state", [1, b"x", object()]),
    (adversarial, "attack", OTHERS),
    (adversarial, "objective", OTHERS),
    (adversarial, "seed", SEEDS),
    (adversarial, "branches", COUNTS),
    (sparsify, "method", OTHERS),
    (watch, "every", COUNTS),
    (watch, "fall", FRACTIONS),
    (watch, "stop", FLAGS),
    (watch, "attack", OTHERS),
    (rewind, "round_epochs", COUNTS),
    (rewind, "rewind_step", [n for n in COUNTS if n != 0]),
    (rewind, "pruner", OTHERS),
    (regrow, "method", OTHERS),
    (regrow, "loss", ["mse", 1]),
    (callbacks.SparsityLog, "log_dir", [None, 1, b"logs"]),
    (evaluator, "attacks", ["quick", [attacks.FGSM()], {"fgsm": "fgsm"}]),
    (evaluator, "objective", OTHERS),
    (evaluator, "seed", SEEDS),
    (evaluator, "branches", COUNTS),
    (interval, "n", COUNTS),
    (interval, "successes", [n for n in COUNTS if n != 0] + [3]),
    (interval, "level", FRACTIONS),
    (clever, "batches", COUNTS),
    (clever, "samples", COUNTS),
    (clever, "ball", OTHERS),
    (bounds, "epsilon", [0, *RADII]),
    (mlp, "num_classes", [1, *COUNTS]),
    (mlp, "width", [0, -1, "1", None, True, math.nan, math.inf]),
    (mlp, "input_shape", [5, "28", (28, 28), (0, 28, 1), None, (2.5, 2, 1)]),
    (mlp, "hidden", [5, "3", [], [0], [1.5], None]),
    (transfer, "attack", [None, *OTHERS]),
    (transfer, "sources", [(), None, 1, "m", ["m"]]),
    (intensity, "attack", [None, *OTHERS]),
    (intensity, "distribution", [1, "normal"]),
    (procedures.Rounds, "evaluate_at", [["0"], [-1], [1001], ["１"], ["1_0"], [True], "12"]),
]


@pytest.mark.parametrize(
    ("call", "name", "values"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[1]}") for row in TABLE],
)
def test_wrong_arguments_are_refused(call, name, values):
    for value in values:
        with pytest.raises(InputError) as caught:
            call(**{name: value})
            pytest.fail(f"{name}={value!r} is accepted")
        assert len(str(caught.value).splitlines()) == 1


def test_numpys_numbers_are_taken():
    found = split(batch_size=np.int64(2), num_classes=np.uint8(2), shuffle=np.bool_(False))
    assert (type(found.batch_size), found.batch_size) == (int, 2)
    assert adversarial(seed=np.int32(3), branches=np.int8(1)).seed == 3
    assert rst.data.load(classes=np.array([1, 7]))[0].num_classes == 2
