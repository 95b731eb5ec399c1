"""SNIP and GraSP look at the task's own loss, whatever labels and outputs are."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import SNIP, GraSP, RigL, masked_weights, statistics

layers = keras.layers
X = np.random.RandomState(0).rand(20, 16).astype(np.float32)
Y = np.random.RandomState(1).randint(0, 3, 20)
TARGETS = X[:, :1] - X[:, 1:2]
METHODS = [SNIP(density=0.3), GraSP(density=0.3)]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


def network(units=3, last=None) -> keras.Model:
    keras.utils.set_random_seed(3)
    hidden = layers.Dense(8, "relu")
    return keras.Sequential([layers.Input((16,)), hidden, layers.Dense(units, last)], "mine")


def masks(method, labels=Y, model=None, **given) -> np.ndarray:
    sparse = sparsify(model or network(), method, data=[(X, labels)], **given)
    return np.concatenate([entry.mask.numpy().ravel() for entry in masked_weights(sparse)])


LABELS = {
    "one-hot": keras.utils.to_categorical(Y),
    "one-hot integers": np.eye(3, dtype=int)[Y],
    "uint8": Y.astype(np.uint8),
    "float32": Y.astype(np.float32),
    "[n, 1]": Y[:, None],
    "uint8 [n, 1]": Y[:, None].astype(np.uint8),
    "tensor": tf.constant(Y, tf.int16),
}


@methods
@pytest.mark.parametrize("case", LABELS)
def test_the_same_labels_give_the_same_masks(method, case):
    np.testing.assert_array_equal(masks(method, LABELS[case]), masks(method))


WRONG = {
    "halves": (Y / 2, "labels of type float64: must be integers"),
    "out of range": (
        Y + 1,
        "labels from 1 to 3: must be in 0 to 2, as the model returns 3 classes",
    ),
    "one-hot of others": (np.eye(4)[Y], r"labels of shape \(20, 4\): must be class numbers"),
    "words": (Y.astype(str), "labels of type string: must be integers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_labels_are_refused(case):
    labels, words = WRONG[case]
    with pytest.raises(InputError, match=words):
        masks(METHODS[0], labels)


@methods
@pytest.mark.parametrize("units, last", [(3, "softmax"), (3, "sigmoid"), (1, None), (1, "sigmoid")])
def test_outputs_that_are_no_logits_need_a_loss(method, units, last):
    with pytest.raises(InputError, match="^model mine: .*must .*logits.*or give sparsify the"):
        masks(method, Y % units, network(units, last))


LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@methods
def test_softmax_and_its_loss_give_the_masks_of_logits(method):
    """But for GraSP's temperature, which divides logits alone."""
    if isinstance(method, GraSP):
        method = GraSP(density=0.3, temperature=1.0)
    expected = masks(method)
    np.testing.assert_array_equal(masks(method, loss=LOGITS_LOSS), expected)
    name = "sparse_categorical_crossentropy"
    squashed = masks(method, model=network(last="softmax"), loss=name)
    assert np.mean(squashed != expected) < 0.02  # rounding
    compiled = network(last="softmax")
    compiled.compile("sgd", name)
    np.testing.assert_array_equal(masks(method, model=compiled), squashed)


@methods
def test_logits_are_divided_by_the_temperature_with_a_loss_too(method):
    np.testing.assert_array_equal(masks(method, loss=LOGITS_LOSS), masks(method))


@pytest.mark.parametrize("targets", [TARGETS, TARGETS[:, 0]], ids=["[n, 1]", "[n]"])
@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError()], ids=["name", "loss"])
def test_regression(targets, loss):
    """By hand: |w dL/dw| of the squared error."""
    model = network(1)
    kernels = [layer.kernel for layer in model.layers]
    with tf.GradientTape() as tape:
        value = tf.reduce_mean((model(X) - TARGETS) ** 2)
    gradients = tape.gradient(value, kernels)
    scores = np.concatenate(
        [np.abs(k * g).ravel() for k, g in zip(kernels, gradients, strict=True)]
    )
    best = np.zeros(scores.size)
    best[np.argsort(-scores)[: round(0.3 * scores.size)]] = 1
    np.testing.assert_array_equal(masks(METHODS[0], targets, model, loss=loss), best)


def test_one_logit_of_two_classes():
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    for labels in (Y % 2, (Y % 2)[:, None], (Y % 2 == 1)):
        assert masks(METHODS[0], labels, network(1), loss=binary).mean() == pytest.approx(
            0.3, abs=0.01
        )


@pytest.mark.parametrize(
    "loss, labels, words",
    [
        ("no such loss", Y, "loss='no such loss': must be one tf_keras loss or its name"),
        ("categorical_crossentropy", Y, "labels of shape .*: do not fit the loss of outputs"),
    ],
)
def test_other_losses_are_refused(loss, labels, words):
    with pytest.raises(InputError, match=words):
        masks(METHODS[0], labels, loss=loss)


def of_precision(kind) -> keras.Model:
    keras.utils.set_random_seed(3)
    policy = keras.mixed_precision.Policy(kind)
    dense = [layers.Dense(8, "relu", dtype=policy), layers.Dense(3, dtype=policy)]
    return keras.Sequential([layers.Input((16,)), *dense], "mine")


def test_snip_of_half_precision_is_that_of_single():
    assert (
        np.mean(masks(METHODS[0], model=of_precision("mixed_float16")) != masks(METHODS[0])) < 0.1
    )


def test_grasp_refuses_half_precision():
    with pytest.raises(InputError, match="model mine: computes in half precision.*must be float32"):
        masks(METHODS[1], model=of_precision("mixed_float16"))


@methods
def test_double_precision(method):
    assert masks(method, model=of_precision("float64")).mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("loss", [None, ["mse"]])
def test_models_compiled_without_one_loss_are_sparsified(loss):
    dense = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    dense.compile("sgd", loss)
    assert statistics(sparsify(dense, RigL(0.5)))["density"] == 0.5
