"""The same of training: models that train, methods, callbacks and procedures."""

import functools
import math

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from wrong_values import (
    BATCHES,
    COUNTS,
    FLAGS,
    FRACTIONS,
    GIVEN_COUNTS,
    GIVEN_FLAGS,
    IMAGES,
    LABELS,
    LAYER,
    MODELS,
    OTHERS,
    PATHS,
    SEEDS,
    SPLIT,
    assert_refused,
    cases,
    model,
)

import robust_sparse_tf as rst
from robust_sparse_tf import attacks, callbacks, evaluation, procedures, sparsity


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
    return compiled_sparse().fit(**dict(x=IMAGES, y=LABELS, verbose=0) | given)


@functools.cache
def compiled_sparse():
    sparse = rst.sparsify(model())
    sparse.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return sparse


def scored(**given):
    return compiled_sparse().evaluate(**dict(x=IMAGES, y=LABELS, verbose=0) | given)


def scored_batches(**given):
    return compiled_sparse().evaluate(**dict(x=SPLIT, verbose=0) | given)


def predicted(**given):
    return compiled_sparse().predict(**dict(x=IMAGES, verbose=0) | given)


def batch_scored(**given):
    return compiled_sparse().test_on_batch(**dict(x=IMAGES, y=LABELS) | given)


def batch_fitted(**given):
    return compiled_sparse().train_on_batch(**dict(x=IMAGES, y=LABELS) | given)


def adversarial_predicted(**given):
    return trainable().predict(**given)


def restored(**given):
    return rst.AdversarialModel.from_config(**given)


def restored_sparse(**given):
    return sparsity.SparseModel.from_config(**given)


def written(**given):
    return rst.sparsify(model()).save(**dict(filepath="model") | given)


def weights_written(**given):
    return rst.sparsify(model()).save_weights(**given)


def exported(**given):
    return adversarial().export(**given)


def sparse_model(**given):
    network = sparsity.wrap(model())
    return sparsity.SparseModel(**dict(inputs=network.input, outputs=network.output) | given)


def told(**given):
    return rst.sparsify(model()).tell(**dict(losses=[1.0, 2.0], gaps=[0.1, 0.2]) | given)


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


def pruned(**given):
    sparsity.Magnitude(0.5).prune(rst.sparsify(model()), **given)


def pruned_by_loss(**given):
    asked = dict(model=rst.sparsify(model()), data=[(IMAGES, LABELS)])
    sparsity.SNIP(0.5).prune(**asked | given)


def scores(**given):
    return sparsity.SNIP().scores(**dict(model=rst.sparsify(model()), data=SPLIT) | given)


def trainable():
    adversarial_model = rst.AdversarialModel(rst.sparsify(model()))
    adversarial_model.compile()
    return adversarial_model


def trained_rounds(**given):
    asked = dict(model=trainable(), train=SPLIT, evaluate=lambda: {"loss": 0.0})
    return procedures.Rounds(rounds=1, iterations=1).run(**asked | given)


def is_evaluated(**given):
    return procedures.Rounds().is_evaluated(**dict(number=0) | given)


def next_stop(**given):
    return procedures.Rounds().next_stop(**dict(number=0) | given)


def kept_features(**given):
    return procedures.FeaturePruning().kept(**dict(worth=[1.0, 2.0], active=[True, True]) | given)


def ticket(**given):
    asked = dict(model=trainable(), train=SPLIT, evaluate=lambda: {"loss": 0.0})
    return procedures.LotteryTicket(rounds=1, iterations=1).run(**asked | given)


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


TABLE = [
    (adversarial, "attack", OTHERS),
    (adversarial, "objective", OTHERS),
    (adversarial, "seed", SEEDS),
    (adversarial, "branches", COUNTS),
    (adversarial, "step_options", OTHERS),
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
    (sparse_compiled, "loss_weights", ["x", b"x", True, [math.nan], [1, "x"], [0, 1]]),
    (sparse_compiled, "steps_per_execution", GIVEN_COUNTS),
    (fitted, "batch_size", GIVEN_COUNTS),
    (fitted, "callbacks", ["", 0, "x", [object()], [callbacks.SparsityLog], model()]),
    (fitted, "epochs", GIVEN_COUNTS),
    (fitted, "initial_epoch", [n for n in COUNTS if n not in (0, None)]),
    (fitted, "steps_per_epoch", GIVEN_COUNTS),
    (fitted, "validation_freq", [0, -1, 1.5, "2", True, (1,), [], [0], [0.1], [[1]]]),
    (fitted, "validation_split", [-0.5, 1, "0.5", True, [0.1], math.nan]),
    (fitted, "x", [None, "x", 1, IMAGES * math.nan, IMAGES[:, :1]]),
    (fitted, "y", [None, [], {}, LABELS + 0.5, LABELS * math.nan, LABELS + 1]),
    (
        fitted,
        "validation_data",
        ["", 0, (), {}, (IMAGES * math.nan, LABELS), (IMAGES,), (IMAGES, LABELS + 0.5)],
    ),
    (fitted, "class_weight", ["", 0, (), {}, {0: 1}]),
    (fitted, "sample_weight", ["", (), {}, IMAGES, (LABELS, LABELS), LABELS * math.nan]),
    (scored, "x", [None, "x", 1, {}, object(), IMAGES * math.nan, IMAGES[:, :1]]),
    (scored, "y", [None, "x", 1, [], {}, LABELS + 1, LABELS + 0.5, IMAGES]),
    (scored, "sample_weight", ["", (), {}, IMAGES, LABELS * math.nan]),
    (scored, "batch_size", GIVEN_COUNTS),
    (scored, "steps", GIVEN_COUNTS),
    (scored_batches, "x", [tf.data.Dataset.from_tensors((IMAGES * math.nan, LABELS))]),
    (scored_batches, "batch_size", GIVEN_COUNTS),
    (scored_batches, "steps", GIVEN_COUNTS),
    (predicted, "x", [None, "x", 1, {}, object(), IMAGES * math.nan, IMAGES[:, :1]]),
    (predicted, "batch_size", GIVEN_COUNTS),
    (predicted, "steps", GIVEN_COUNTS),
    (batch_scored, "x", [None, "x", 1, [], object(), IMAGES * math.nan, IMAGES[:, :1], SPLIT]),
    (batch_scored, "y", [None, "x", 1, [], {}, object(), LABELS + 1, LABELS[:1]]),
    (batch_scored, "sample_weight", ["x", 1, [], object(), IMAGES, LABELS * math.nan]),
    (batch_fitted, "x", [None, "x", 1, [], object(), IMAGES * math.nan, IMAGES[:, :1], SPLIT]),
    (batch_fitted, "y", [None, "x", 1, [], {}, object(), LABELS + 0.5, LABELS[:1]]),
    (batch_fitted, "sample_weight", ["x", 1, [], object(), IMAGES, LABELS * math.nan]),
    (batch_fitted, "class_weight", ["", 0, [], {}, {0: 1}]),
    (adversarial_predicted, "x", [None, "x", IMAGES[:0], IMAGES[:, :1], IMAGES * math.nan]),
    (restored, "config", [None, "x", 1, [], {}, IMAGES]),
    (restored_sparse, "config", [None, "x", 1, [], {}, IMAGES]),
    (sparse_model, "inputs", [None, 1, "x", [], {}, object(), IMAGES, LAYER]),
    (sparse_model, "outputs", [None, 1, "x", object(), IMAGES, LAYER]),
    (sparse_model, "method", OTHERS),
    (sparse_model, "name", [1, b"x", ["x"], object()]),
    (told, "losses", [None, 1, "x", ["x"], [[1.0]], object(), tf.constant(1.0)]),
    (told, "gaps", [None, 1, "x", ["x"], [[1.0]], object(), tf.constant(1.0)]),
    (written, "filepath", PATHS),
    (written, "save_format", ["zip", 1, b"x"]),
    (weights_written, "filepath", PATHS),
    (exported, "filepath", PATHS),
    (cross_entropy, "labels", [None, "x", 1, LABELS + 0.5, LABELS + 1, LABELS[:1], IMAGES]),
    (cross_entropy, "logits", [None, "x", 1, LABELS, IMAGES, object()]),
    (activity, "activations", [None, "x", 1, [], [1.0], ["x"], [IMAGES, IMAGES[:1]]]),
    (features, "data", [None, "x", 1, len, IMAGES, (IMAGES, LABELS)]),
    (features, "model", [model()]),
    (masks_set, "masks", [None, 1, len, [], [LABELS, LABELS], ["x", "y"], SPLIT, tf.constant(1)]),
    (pruned, "data", BATCHES),
    (pruned_by_loss, "data", [None, tf.constant(1), *BATCHES]),
    (pruned_by_loss, "progress", [-0.5, 2, "0.5", None, True, math.nan, [1.0], object()]),
    (scores, "model", [*MODELS, model()]),
    (scores, "data", [None, tf.constant(1), *BATCHES]),
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
    (evaluator, "batch_size", GIVEN_COUNTS),
    (store, "folder", PATHS),
    (path_at, "position", [n for n in COUNTS if n != 0]),
    (sparsity.MaskedLayer, "layer", [None, "x", model()]),
    (evaluation.Evaluator, "model", [None, 1, attacks.FGSM, attacks.FGSM()]),
    (trained_rounds, "model", [None, "m", 1, object(), len, rst.AdversarialModel(model())]),
    (trained_rounds, "evaluate", [None, 1, "x", len, dict.get, attacks.FGSM(), model()]),
    (trained_rounds, "train", [None, "x", 1, (IMAGES, LABELS), object()]),
    (trained_rounds, "between", ["x", 1, object()]),
    (trained_rounds, "store", ["x", 1, object()]),
    (trained_rounds, "callbacks", ["x", 1, IMAGES, [object()]]),
    (ticket, "model", [*MODELS, keras.Sequential([LAYER]), rst.AdversarialModel(model())]),
    (ticket, "pruner", ["x", 1, sparsity.RigL(), sparsity.Magnitude]),
    (ticket, "seed", [-1, *SEEDS]),
    (is_evaluated, "iteration", [n for n in COUNTS if n != 0]),
    (next_stop, "iteration", [n for n in COUNTS if n != 0]),
    (kept_features, "worth", [None, "x", 1, [[1.0, 2.0]], object()]),
    (kept_features, "active", [None, "x", 1, [1.0, 2.0], [True], object()]),
    (procedures.Rounds, "evaluate_at", [["0"], [-1], [1001], ["１"], ["1_0"], [True], "12"]),
]


@pytest.mark.parametrize(("call", "name", "values"), cases(TABLE))
def test_wrong_arguments_are_refused(call, name, values):
    assert_refused(call, name, values)
