"""Lipschitz constants of networks with random masks.

"Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and Chen, 2018), theorem 3.3:
https://arxiv.org/abs/1810.09619
"""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds import propagation
from robust_sparse_tf.bounds.propagation import DUAL, RESHAPING
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import in_range, unwrapped
from robust_sparse_tf.evaluation.lipschitz import lemma_3_1
from robust_sparse_tf.options import checked, require


class MaskedConstants(NamedTuple):
    """Means over masks, each float64 [batch, classes], in logits per unit of the input.

    The expectation of theorem 3.3 is between those of `lower` and `upper`.
    """

    lower: np.ndarray
    """Mean dual norm of the gradient of g_yhat - g_k at the input."""
    upper: np.ndarray
    """Mean of lemma 3.1's bound on it in the ball."""
    error: np.ndarray
    """The standard error of `upper`."""
    bound: np.ndarray
    """The bound of the theorem: c_q (1 - eta)."""
    log_eta: float
    """The natural logarithm of eta, as eta may underflow in float64."""


def masked_lipschitz(
    model: Any, x: tf.Tensor, ball: Ball, pruned: float, *, draws: int = 20, seed: int = 0
) -> MaskedConstants:
    """Theorem 3.3, equations 11 and 12, by Monte Carlo.

    Each weight of the layers before the last one is set to zero independently, with the same
    probability. Then for all inputs x and classes k, with yhat the class predicted without masks,

        E(L_q) <= c_q (1 - eta),   c_2 = ||w_yhat - w_k||_2 prod_j ||W_j||_F,
                                   c_1 = ||w_yhat - w_k||_1 prod_j ||W_j||_{1,inf},

    where ||W||_{1,inf} is the maximum l1 norm of a unit's weights, and eta follows from the proof's
    recursion (14) for the probability xi_j that a unit of layer j is off:

        xi_0 = 0,   xi_j = (alpha + xi_{j-1} - alpha xi_{j-1})^n_{j-1},   eta = xi_{d-1}^n_{d-1},

    with alpha the probability of a zero and n_j the units of layer j. As in the paper, a bias is
    the weight of a unit that is always on, and is masked like others.

    Args:
        model: a tf_keras model, wrapped or not, that is a chain of dense layers with ReLU or no
            activation; the last layer has none.
        x: float32 [batch, ...] from ball.low to ball.high.
        ball: where constants are bounded; its norm, linf or l2, is the dual of q.
        pruned: alpha, from 0 to 1.
        draws: number of random masks of all layers.
        seed: seed of the masks.

    Raises:
        InputError: for arguments that are not allowed, or naming a layer that is not supported.
    """
    network = unwrapped(model)
    require("ball", ball, Ball)
    checked("norm", ball.norm, str, choices=("l2", "linf"))
    pruned = checked("pruned", pruned, float, minimum=0, maximum=1)
    draws = checked("draws", draws, int, minimum=2)
    seed = checked("seed", seed, int, minimum=0)
    x = in_range(x, ball.limits)
    kernels, last = _layers(network, x, ball)
    predicted = tf.argmax(network(x, training=False), axis=1)
    masked = keras.models.clone_model(network)
    hidden, _ = _layers(masked, x, ball)

    @tf.function(autograph=False)
    def both() -> tuple[tf.Tensor, tf.Tensor]:
        return (
            _gradient_norms(masked, x, predicted, ball.norm),
            lemma_3_1(masked, x, ball, predicted),
        )

    lower: list[np.ndarray] = []
    upper: list[np.ndarray] = []
    for draw in range(draws):
        masked.set_weights(network.get_weights())
        rng = np.random.default_rng((seed, draw))
        for layer in hidden:
            weights = layer.get_weights()
            layer.set_weights([value * (rng.random(value.shape) >= pruned) for value in weights])
        for found, each in zip((lower, upper), both(), strict=True):
            found.append(each.numpy().astype(np.float64))
    eta = _log_eta(kernels, pruned)
    differences, _ = last.differences(predicted)
    constant = math.prod(_norm(layer.kernel.numpy(), ball.norm) for layer in kernels)
    bound = np.linalg.norm(differences.numpy(), DUAL[ball.norm], axis=1) * constant
    return MaskedConstants(
        lower=np.mean(lower, axis=0),
        upper=np.mean(upper, axis=0),
        error=np.std(upper, axis=0, ddof=1) / math.sqrt(draws),
        bound=bound.astype(np.float64) * -math.expm1(eta),
        log_eta=eta,
    )


def _layers(
    network: keras.Model, x: tf.Tensor, ball: Ball
) -> tuple[list[keras.layers.Dense], propagation.LinearEnd]:
    """The layers whose weights are masked, and the last one."""
    lemma_3_1(network, x[:1], ball)  # refuses anything that is not such a chain
    end = propagation.linear_end(propagation.propagate(network, propagation.input_box(x, ball)))
    assert end is not None
    kernels = []
    for step in end.before:
        layer, kind = step.layer, type(step.layer)
        if layer in kernels:
            raise InputError(f"layer {layer.name}: theorem 3.3 needs layers that are used once")
        if kind is keras.layers.Dense:
            kernels.append(layer)
        elif kind not in (*RESHAPING, keras.layers.ReLU, keras.layers.Activation):
            raise InputError(
                f"layer {layer.name}: {kind.__name__} is not supported by theorem 3.3, which needs "
                "dense layers"
            )
    return kernels, end


def _gradient_norms(network: keras.Model, x: tf.Tensor, label: tf.Tensor, norm: str) -> tf.Tensor:
    """The dual norms of the gradients of g_label - g_k at the inputs: [batch, classes]."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        logits = network(x, training=False)
    slopes = tape.batch_jacobian(logits, x, experimental_use_pfor=False)
    slopes = tf.reshape(slopes, [len(x), logits.shape[1], -1])
    own = tf.gather(slopes, label, batch_dims=1)[:, None]
    return tf.norm(own - slopes, DUAL[norm], axis=2)


def _log_eta(kernels: list[keras.layers.Dense], pruned: float) -> float:
    """The logarithm of the probability that all units of the last hidden layer are off."""
    off, units = 0.0, 0
    log_off = -math.inf
    for layer in kernels:
        log_off = layer.kernel.shape[0] * _log(pruned + off - pruned * off)
        log_off += _log(pruned) if layer.use_bias else 0.0
        off, units = math.exp(log_off), layer.units
    return units * log_off if kernels else -math.inf


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _norm(kernel: np.ndarray, norm: str) -> float:
    """||W||_F for constants in l2, ||W||_{1,inf} for those in linf."""
    if norm == "l2":
        return float(np.linalg.norm(kernel))
    return float(np.abs(kernel).sum(axis=0).max())
