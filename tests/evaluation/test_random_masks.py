"""Theorem 3.3 on networks so small that all masks can be counted."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import local_lipschitz, masked_lipschitz

SIZES = (3, 2, 2, 3)
DUAL = {"l2": 2, "linf": 1}
X = np.array([[0.9, 0.2, 0.6], [0.1, 0.8, 0.4]], np.float32).reshape(2, 1, 3, 1)

# The graphs of a second norm take seconds.
every_norm = pytest.mark.parametrize("norm", ["linf", pytest.param("l2", marks=pytest.mark.slow)])


def network(sizes=SIZES, use_bias=False) -> keras.Model:
    rng = np.random.default_rng(5)
    *hidden, classes = sizes[1:]
    model = models.mlp((1, sizes[0], 1), classes, hidden=hidden, use_bias=use_bias)
    model.set_weights([rng.normal(size=value.shape) for value in model.get_weights()])
    return model


def slopes(kernels, norm, labels):
    """The dual norms of g_label - g_k's gradients: [images, classes]; and which units fire."""
    found, on = [], []
    for x, label in zip(X.reshape(2, 3), labels, strict=True):
        jacobian = np.eye(len(x))
        for kernel in kernels[:-1]:
            x = kernel.T @ x
            jacobian = (kernel.T @ jacobian) * (x > 0)[:, None]
            x = np.maximum(x, 0)
        on.append(x > 0)
        jacobian = kernels[-1].T @ jacobian
        found.append(np.linalg.norm(jacobian[label] - jacobian, DUAL[norm], axis=1))
    return np.array(found), np.array(on)


def counted(model, norm, pruned):
    """The exact expectation of the gradient's norm, and the least share of silent networks."""
    kernels = model.get_weights()
    labels = np.argmax(model(X), axis=1)
    sizes = [kernel.size for kernel in kernels[:-1]]
    total, silent = 0.0, 0.0
    for bits in itertools.product((0, 1), repeat=sum(sizes)):
        weight = pruned ** bits.count(0) * (1 - pruned) ** bits.count(1)
        masks = np.split(np.array(bits), np.cumsum(sizes)[:-1])
        drawn = [k * m.reshape(k.shape) for k, m in zip(kernels[:-1], masks, strict=True)]
        found, on = slopes([*drawn, kernels[-1]], norm, labels)
        total += weight * found
        silent += weight * ~on.any(axis=1)
    return total, silent.min()


@every_norm
def test_is_between_what_all_masks_give_and_the_theorem(norm):
    model, pruned = network(), 0.7
    exact, silent = counted(model, norm, pruned)
    found = masked_lipschitz(model, X, Ball(norm, 0.05), pruned, draws=100, seed=1)
    assert np.max(np.abs(found.lower - exact)) < 5 * np.max(found.error)
    assert np.all(exact <= found.bound)
    assert np.all(found.lower <= found.upper * (1 + 1e-5))
    assert np.all(found.upper <= found.bound + 4 * found.error)
    # By hand: xi is .7 ** 3, then (.7 + xi - .7 xi) ** 2, and eta that squared.
    assert np.exp(found.log_eta) == pytest.approx((0.7 + 0.3 * 0.7**3) ** 4)
    assert np.exp(found.log_eta) <= silent


@pytest.mark.slow
@pytest.mark.parametrize(
    "use_bias, expected", [(False, 0.7 ** (3 * 2)), (True, 0.7 ** (4 * 2))], ids=["none", "biases"]
)
def test_eta_is_exact_for_one_layer(use_bias, expected):
    model = network((3, 2, 3), use_bias)
    found = masked_lipschitz(model, X, Ball("l2", 0.05), 0.7, draws=2)
    assert np.exp(found.log_eta) == pytest.approx(expected)


@every_norm
def test_ends(norm):
    """Nothing pruned: lemma 3.1 and c_q. All pruned: zeros."""
    model, ball = network(), Ball(norm, 0.05)
    found = masked_lipschitz(model, X, ball, 0, draws=2)
    np.testing.assert_allclose(found.upper, local_lipschitz(model, X, ball), rtol=1e-6)
    assert found.log_eta == -np.inf and not found.error.any()
    first, second, last = model.get_weights()
    sizes = [
        np.sqrt((k**2).sum()) if norm == "l2" else abs(k).sum(0).max() for k in (first, second)
    ]
    label = np.argmax(model(X), axis=1)
    ends = np.linalg.norm(last[:, label].T[:, :, None] - last, DUAL[norm], axis=1)
    np.testing.assert_allclose(found.bound, ends * np.prod(sizes), rtol=1e-6)
    none = masked_lipschitz(model, X, ball, 1, draws=2)
    assert none.log_eta == 0 and not none.bound.any() and not none.upper.any()


@pytest.mark.slow
def test_masks_follow_from_the_seed_and_leave_the_model():
    model, ball = network(), Ball("l2", 0.05)
    before = model.get_weights()
    found = [masked_lipschitz(model, X, ball, 0.5, draws=3, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(found[0].upper, found[1].upper)
    assert np.any(found[0].upper != found[2].upper)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


layers = keras.layers
SHARED = layers.Dense(3, activation="relu", name="twice")


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(pruned=1.5), "pruned=1.5: must be at least 0 and at most 1"),
        (dict(draws=1), "draws=1: must be at least 2"),
        (dict(seed=-1), "seed=-1: must be at least 0"),
        (dict(ball=Ball("l1", 1.0)), "norm=l1: must be one of l2, linf"),
        (dict(ball=0.1), "ball=0.1: must be a Ball"),
        (
            dict(model=[layers.Rescaling(2.0, name="s"), layers.Dense(3)]),
            "layer s: Rescaling is not supported by theorem 3.3",
        ),
        (dict(model=[SHARED, SHARED, layers.Dense(3)]), "layer twice: theorem 3.3 needs layers"),
        (
            dict(model=[layers.Dense(3, activation="tanh", name="t"), layers.Dense(3)]),
            "layer t: activation tanh is not supported",
        ),
    ],
)
def test_refuses(given, words):
    given = dict(ball=Ball("l2", 0.05), pruned=0.5, draws=2) | given
    if "model" in given:
        start = layers.Input((1, 3, 1))
        value = layers.Flatten()(start)
        for layer in given.pop("model"):
            value = layer(value)
        model = keras.Model(start, value)
    else:
        model = network()
    with pytest.raises(InputError, match=words):
        masked_lipschitz(model, tf.constant(X), **given)
