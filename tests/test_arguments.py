"""Arguments of functions and constructors are checked as options are: type and range."""

import math

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf import attacks, callbacks, evaluation, procedures, sparsity
from robust_sparse_tf.data import Gather, Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import interval_bounds

IMAGES, LABELS = np.zeros([4, 2, 2, 1], np.float32), np.array([0, 1, 0, 1])
SPLIT = Split(IMAGES, LABELS, num_classes=2, batch_size=2)
COUNTS = [0, -1, 1.5, "2", None, True, [2], math.nan, 2**63, object()]
GIVEN_COUNTS = [n for n in COUNTS if n is not None]
SEEDS = [1.5, "0", None, True, [0], 2**63]
FLAGS = [0, 1, "yes", None, []]
GIVEN_FLAGS = [flag for flag in FLAGS if flag is not None]
FRACTIONS = [0, 1, -0.5, 2, "0.5", None, True, math.nan, math.inf]
RADII = [-1.0, "0.3", None, True, [0.1], math.nan, math.inf, object()]
TENSORS = [tf.constant(-1.0), tf.constant(math.nan), tf.constant([0.1]), tf.constant(1)]
OTHERS = ["rigl", 0.3, attacks.PGD, object(), {}]
PAIRS = [None, 1, "0", 0.5, (), (0,), (0, 1, 2), (0, 0.5), (True, False), np.zeros(2)]
PATHS = ["", None, 1, b"folder", ["folder"]]
BATCHES = ["x", b"x", 1, {"x": 1}, {1}, [0.1], [[1]], (IMAGES, LABELS), IMAGES, object()]
MODELS = [None, "m", 1, object(), len, attacks.FGSM(), rst.AdversarialModel]
LAYER = keras.layers.Dense(2)
TEXTS = [1, b"x", ["fgsm"], object(), np.zeros(0)]


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


def compiled(**given):
    return rst.AdversarialModel(model()).compile(**given)


def sparse_compiled(**given):
    return rst.sparsify(model()).compile(**given)


def fitted(**given):
    sparse = rst.sparsify(model())
    sparse.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return sparse.fit(**dict(x=IMAGES, y=LABELS, verbose=0) | given)


def written(**given):
    return rst.sparsify(model()).save(**dict(filepath="model") | given)


def weights_written(**given):
    return rst.sparsify(model()).save_weights(**given)


def exported(**given):
    return adversarial().export(**given)


def sparse_model(**given):
    network = sparsity.wrap(model())
    return sparsity.SparseModel(network.input, network.output, **given)


def projected(**given):
    return rst.Ball("linf", 0.1).project(**dict(x=IMAGES, adversarial=IMAGES) | given)


def gather(**given):
    return Gather(**dict(images=IMAGES, labels=LABELS) | given)


def cross_entropy(**given):
    asked = dict(labels=LABELS, logits=np.zeros([4, 2], np.float32))
    return rst.objectives.Mixed().example_losses(**asked | given)


def activity(**given):
    return rst.objectives.Mixed(activity_l1=0.1).activity(**given)


def features(**given):
    asked = dict(model=rst.sparsify(model()), data=SPLIT)
    return procedures.FeaturePruning().prune(**asked | given)


def masks_set(**given):
    return sparsity.set_masks(rst.sparsify(model()), **given)


def states(**given):
    return sparsity.layer_states(rst.sparsify(model()), **given)


def saliency(**given):
    return rst.sparsify(model(), sparsity.SNIP(), **dict(data=[(IMAGES, LABELS)]) | given)


def attacked(**given):
    return attacks.FGSM()(model(), IMAGES, LABELS, **given)


def certified(**given):
    return evaluation.certified_accuracy(model(), SPLIT, **given)


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


def trainable():
    adversarial_model = rst.AdversarialModel(model())
    adversarial_model.compile()
    return adversarial_model


def trained_rounds(**given):
    asked = dict(model=trainable(), train=SPLIT, evaluate=dict)
    return procedures.Rounds().run(**asked | given)


def is_evaluated(**given):
    return procedures.Rounds().is_evaluated(**dict(number=0) | given)


def next_stop(**given):
    return procedures.Rounds().next_stop(**dict(number=0) | given)


def kept_features(**given):
    return procedures.FeaturePruning().kept(**dict(worth=[1.0, 2.0], active=[True, True]) | given)


def ticket(**given):
    asked = dict(model=rst.AdversarialModel(model()), train=SPLIT, evaluate=dict)
    return procedures.LotteryTicket().run(**asked | given)


def store(**given):
    return procedures.CheckpointStore(**dict(folder="") | given)


def path_at(position):
    return procedures.CheckpointStore.path(None, position)


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


def several(inputs=1, outputs=1):
    """A model of several inputs or outputs."""
    heads = [keras.layers.Input((2, 2, 1)) for _ in range(inputs)]
    whole = keras.layers.Flatten()(sum(heads[1:], heads[0]))
    return keras.Model(heads, [keras.layers.Dense(2, "relu")(whole) for _ in range(outputs)])


def silent(**given):
    return evaluation.activation_sparsity(**dict(model=model(), data=SPLIT) | given)


def margins(**given):
    return interval_bounds.margin_bounds(model(), IMAGES, ball=rst.Ball("linf", 0.1), **given)


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
    (SPLIT.first, "count", COUNTS),
    (rst.data.load, "batch_size", COUNTS),
    (rst.data.load, "seed", [-1, *SEEDS]),
    (rst.data.load, "test_size", GIVEN_COUNTS),
    (rst.data.load, "validation_size", GIVEN_COUNTS),
    (rst.data.load, "validation_split", ["last", None, 1]),
    (rst.data.load, "classes", ["12", 1, [1.5], [1], ["１", "7"], None]),
    (rst.data.load, "dataset", ["imagenet", None, 1]),
    (rst.data.load, "data_dir", [path for path in PATHS if path is not None]),
    (evaluate, "draws", COUNTS),
    (evaluate, "batch_size", COUNTS),
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
    (SPLIT.index_batches, "first_step", [n for n in COUNTS if n != 0]),
    (adversarial, "attack", OTHERS),
    (adversarial, "objective", OTHERS),
    (adversarial, "seed", SEEDS),
    (adversarial, "branches", COUNTS),
    (compiled, "optimizer", [None, "", "adamant", 1, b"x", {}, keras.optimizers.Adam]),
    (compiled, "metrics", [1, b"x", [0.1], keras3.metrics.Mean(), keras.metrics.Mean, LAYER]),
    (compiled, "jit_compile", GIVEN_FLAGS),
    (compiled, "run_eagerly", GIVEN_FLAGS),
    (compiled, "steps_per_execution", GIVEN_COUNTS),
    (compiled, "weighted_metrics", [1, b"x", [0.1], keras.metrics.Mean, LAYER]),
    (compiled, "jit_update", GIVEN_FLAGS),
    (sparse_compiled, "optimizer", [None, "", "adamant", 1, b"x", {}, keras.optimizers.Adam]),
    (
        sparse_compiled,
        "loss",
        ["mean", "", 1, [], b"x", keras.losses.MeanSquaredError, len, {"x": "mse"}, ["mse", "mse"]],
    ),
    (
        sparse_compiled,
        "metrics",
        ["mean", "", 1, b"x", [0.1], keras.metrics.Mean, len, {"x": "mse"}],
    ),
    (sparse_compiled, "jit_compile", GIVEN_FLAGS),
    (sparse_compiled, "loss_weights", ["x", b"x", True, [math.nan], [1, "x"]]),
    (sparse_compiled, "steps_per_execution", GIVEN_COUNTS),
    (fitted, "batch_size", GIVEN_COUNTS),
    (fitted, "epochs", GIVEN_COUNTS),
    (fitted, "initial_epoch", [n for n in COUNTS if n not in (0, None)]),
    (fitted, "steps_per_epoch", GIVEN_COUNTS),
    (fitted, "validation_freq", [0, -1, 1.5, "2", True, (1,)]),
    (fitted, "validation_split", [-0.5, 1, "0.5", True, [0.1], math.nan]),
    (fitted, "y", [LABELS + 0.5, LABELS * math.nan]),
    (fitted, "validation_data", ["", 0, (), {}]),
    (fitted, "class_weight", ["", 0, (), {}, {0: 1}]),
    (fitted, "sample_weight", ["", (), {}, IMAGES, (LABELS, LABELS), LABELS * math.nan]),
    (sparse_model, "method", OTHERS),
    (written, "filepath", PATHS),
    (written, "save_format", ["zip", 1, b"x"]),
    (weights_written, "filepath", PATHS),
    (exported, "filepath", PATHS),
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
    (cross_entropy, "labels", [None, "x", 1, LABELS + 0.5, LABELS + 1, LABELS[:1], IMAGES]),
    (cross_entropy, "logits", [None, "x", 1, LABELS, IMAGES, object()]),
    (activity, "activations", [None, "x", 1, [], [1.0], ["x"], [IMAGES, IMAGES[:1]]]),
    (features, "data", [None, "x", 1, len, IMAGES, (IMAGES, LABELS)]),
    (features, "model", [model()]),
    (masks_set, "masks", [None, 1, len, [], [LABELS, LABELS], ["x", "y"]]),
    (states, "gradients", [1, "x", [1], {"x": 1}]),
    (sparsify, "method", OTHERS),
    (rst.sparsify, "model", MODELS),
    (sparsify, "data", BATCHES),
    (sparsify, "loss", ["mean", 1, [], len, keras.losses.MeanSquaredError, LAYER]),
    (sparsify, "layers", [1, [1], attacks.PGD, lambda layer: layer.filters > 1, "*_9"]),
    (saliency, "data", [None, *BATCHES]),
    (watch, "every", COUNTS),
    (watch, "fall", FRACTIONS),
    (watch, "stop", FLAGS),
    (watch, "attack", OTHERS),
    (
        callbacks.CatastrophicOverfitting,
        "batch",
        [None, 1, "x", b"xy", (IMAGES,), (IMAGES, LABELS[:1]), (object(), 1)],
    ),
    (rewind, "round_epochs", COUNTS),
    (rewind, "rewind_step", [n for n in COUNTS if n != 0]),
    (rewind, "pruner", OTHERS),
    (regrow, "method", OTHERS),
    (regrow, "loss", ["mse", 1, len, keras.losses.MeanSquaredError]),
    (regrow, "data", BATCHES),
    (callbacks.SparsityLog, "log_dir", PATHS),
    (evaluator, "attacks", ["quick", [attacks.FGSM()], {"a": "fgsm"}, {1: attacks.FGSM()}]),
    (evaluator, "objective", OTHERS),
    (evaluator, "seed", SEEDS),
    (evaluator, "branches", COUNTS),
    (interval, "n", COUNTS),
    (interval, "successes", [n for n in COUNTS if n != 0] + [3]),
    (interval, "level", FRACTIONS),
    (clever, "batches", COUNTS),
    (clever, "samples", COUNTS),
    (clever, "ball", OTHERS),
    (clever, "seed", SEEDS),
    (certified, "ball", [None, attacks.FGSM(), *OTHERS]),
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
    (store, "folder", PATHS),
    (path_at, "position", [n for n in COUNTS if n != 0]),
    (sparsity.MaskedLayer, "layer", [None, "x", model()]),
    (evaluation.Evaluator, "model", [None, 1, attacks.FGSM, attacks.FGSM()]),
    (trained_rounds, "model", [None, "m", 1, object(), len, rst.AdversarialModel(model())]),
    (trained_rounds, "evaluate", [None, 1, "x", len, dict.get, attacks.FGSM(), model()]),
    (trained_rounds, "train", [None, "x", 1, (IMAGES, LABELS), object()]),
    (rst.export.tflite_function, "content", [None, "x", 1, b"x", object()]),
    (trained_rounds, "between", ["x", 1, object()]),
    (trained_rounds, "store", ["x", 1, object()]),
    (ticket, "model", MODELS),
    (ticket, "pruner", ["x", 1, sparsity.RigL(), sparsity.Magnitude]),
    (ticket, "seed", [-1, *SEEDS]),
    (is_evaluated, "iteration", [n for n in COUNTS if n != 0]),
    (next_stop, "iteration", [n for n in COUNTS if n != 0]),
    (kept_features, "worth", [None, "x", 1, [[1.0, 2.0]], object()]),
    (kept_features, "active", [None, "x", 1, [1.0, 2.0], [True], object()]),
    (procedures.Rounds, "evaluate_at", [["0"], [-1], [1001], ["１"], ["1_0"], [True], "12"]),
]


@pytest.mark.parametrize(
    ("call", "name", "values"),
    [pytest.param(*row, id=f"{getattr(row[0], '__name__', row[1])}-{row[1]}") for row in TABLE],
)
def test_wrong_arguments_are_refused(call, name, values):
    for value in values:
        with pytest.raises(InputError) as caught:
            call(**{name: value})
            pytest.fail(f"{name}={value!r} is accepted")
        assert len(str(caught.value).splitlines()) == 1


OF_MODELS = [
    rst.strip,
    rst.export.to_saved_model,
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
            call(given, *(["folder"] if call is rst.export.to_saved_model else []))


def test_numpys_numbers_are_taken():
    found = split(batch_size=np.int64(2), num_classes=np.uint8(2), shuffle=np.bool_(False))
    assert (type(found.batch_size), found.batch_size) == (int, 2)
    assert adversarial(seed=np.int32(3), branches=np.int8(1)).seed == 3
    assert rst.data.load(classes=np.array([1, 7]))[0].num_classes == 2
