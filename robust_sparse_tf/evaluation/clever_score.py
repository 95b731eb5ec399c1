"""CLEVER: the distance to the boundary, estimated from gradients near the input.

"Evaluating the Robustness of Neural Networks: An Extreme Value Theory Approach" (Weng, Zhang, Chen,
Yi, Su, Gao, Hsieh and Daniel, 2018), algorithms 1 and 2.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import optimize, stats

from robust_sparse_tf.attacks import Ball, norms
from robust_sparse_tf.attacks.seeds import fold
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import checked_logits, connected, in_range, is_noisy
from robust_sparse_tf.options import checked, require
from robust_sparse_tf.tensors import as_array

PAPER_BALL = Ball("l2", 5.0)
_POINTS = 4096  # gradients computed at once; limits the memory


def clever(
    model: Any,
    x: tf.Tensor,
    ball: Ball = PAPER_BALL,
    *,
    targets: tf.Tensor | None = None,
    batches: int = 500,
    samples: int = 1024,
    seed: int = 0,
) -> np.ndarray:
    """The CLEVER score of each example: an estimate of its distance to the boundary, not a bound.

    For class k the score is min(R, (g_c - g_k) / L), with c the predicted class and L the endpoint
    of a reverse Weibull distribution. That is fitted to `batches` numbers, each the maximum of
    `samples` dual norms of the gradient of g_c - g_k. The defaults are the paper's: batches x
    samples gradients per example and class, which takes minutes per image with a large network.

    Args:
        model: any model or callable from images to logits.
        x: numbers [batch, ...] from ball.low to ball.high.
        ball: where gradients are taken, and the norm of the distance; its epsilon is R, the maximum
            score. Points are clipped to its range.
        targets: integers [batch], the class k of each example (algorithm 1); None for the minimum
            score over all classes except c (algorithm 2).
        batches: N_b, number of maxima to which the distribution is fitted.
        samples: N_s, number of gradients per maximum.
        seed: seed of the points.

    Returns:
        float64 [batch], in input units.

    Raises:
        InputError: for arguments that are not allowed, or targets that are already predicted.
    """
    require("ball", ball, Ball)
    checked("epsilon", ball.epsilon, float, above=0)
    batches = checked("batches", batches, int, minimum=1)
    samples = checked("samples", samples, int, minimum=1)
    seed = checked("seed", seed, int)
    x = in_range(x, ball.limits)
    few = x[:32].numpy()
    logits, _ = checked_logits(model, few)
    if not connected(logits, few)[1]:
        raise InputError("model: has no gradient, which CLEVER needs")
    if is_noisy(logits, few):
        raise InputError("model: returns other logits each time, which CLEVER does not support")
    found = logits(x).numpy()
    predicted = found.argmax(axis=1)
    if targets is None:
        # All classes except the predicted one.
        rivals = (predicted[:, None] + np.arange(1, found.shape[1])) % found.shape[1]
    else:
        rivals = _checked_targets(targets, predicted, found.shape[1])[:, None]
    gaps = found.max(axis=1, keepdims=True) - np.take_along_axis(found, rivals, axis=1)

    sampler = _Sampler(logits, ball, batches, samples, seed)
    step = max(1, _POINTS // samples)
    parts = []
    for first in range(0, len(found), step):
        here = slice(first, first + step)
        numbers = tf.constant(predicted[here]), tf.constant(rivals[here]), tf.constant(first)
        parts.append(sampler(x[here], *numbers).numpy())
    endpoints = np.apply_along_axis(endpoint, 0, np.concatenate(parts, axis=1).astype(np.float64))
    with np.errstate(divide="ignore"):
        return np.minimum(gaps / endpoints, ball.epsilon).min(axis=1)


def endpoint(maxima: np.ndarray) -> float:
    """The upper endpoint of a reverse Weibull distribution, fitted by maximum likelihood.

    By SciPy, with 0.01 shape^2 added to the negative log-likelihood. Without it, the endpoint of
    few numbers can go to infinity together with the shape, because the limit of Weibull
    distributions is a Gumbel distribution, which has no endpoint. If all numbers are equal, the
    endpoint is that number.

    Args:
        maxima: floats [n], at least 0.
    """
    top, spread = maxima.max(), maxima.std()
    if spread <= 1e-6 * top:
        return float(top)
    # Scaled, so that the search does not depend on the network's slopes.
    scaled = (maxima - top) / spread
    _, end, _ = stats.weibull_max.fit(
        scaled, 1.0, loc=1 / len(scaled), scale=1.0, optimizer=_penalized
    )
    return float(top + max(end, 0.0) * spread)


def _penalized(
    function: Callable[..., float], start: np.ndarray, args: tuple[Any, ...] = (), disp: int = 0
) -> np.ndarray:
    del disp
    return optimize.fmin(
        lambda theta, *rest: function(theta, *rest) + 0.01 * theta[0] ** 2,
        start,
        args=args,
        disp=False,
    )


@dataclasses.dataclass(frozen=True)
class _Sampler:
    """Draws points around examples and keeps the maximum gradient norms."""

    logits: Callable[[tf.Tensor], tf.Tensor]
    ball: Ball
    batches: int
    samples: int
    seed: int

    @tf.function(autograph=False, reduce_retracing=True)  # see `inputs.graph`
    def __call__(
        self, x: tf.Tensor, predicted: tf.Tensor, rivals: tf.Tensor, first: tf.Tensor
    ) -> tf.Tensor:
        """Returns the maxima per example and rival class: float32 [batches, batch, rivals].

        Args:
            x: [batch, ...].
            predicted: [batch].
            rivals: [batch, rivals].
            first: number of the first example, from which seeds are derived.
        """
        return tf.map_fn(
            lambda number: self._maxima(x, predicted, rivals, first, number),
            tf.range(self.batches),
            fn_output_signature=tf.float32,
            parallel_iterations=1,
        )

    def _maxima(
        self,
        x: tf.Tensor,
        predicted: tf.Tensor,
        rivals: tf.Tensor,
        first: tf.Tensor,
        number: tf.Tensor,
    ) -> tf.Tensor:
        seed = tf.constant([self.seed, 0], tf.int64)
        for data in (first, number):
            seed = fold(seed, data)
        points = tf.repeat(x, self.samples, axis=0)
        noise = norms.uniform(tf.shape(points), self.ball.norm, self.ball.epsilon, seed)
        points = self.ball.clip(points + noise)
        own = tf.repeat(predicted, self.samples)

        def largest(rival: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(points)
                logits = self.logits(points)
                gap = tf.gather(logits, own, batch_dims=1)
                gap -= tf.gather(logits, tf.repeat(rival, self.samples), batch_dims=1)
            gradient = tape.gradient(gap, points)
            lengths = norms.distance(gradient, norms.DUAL[self.ball.norm])
            return tf.reduce_max(tf.reshape(lengths, [-1, self.samples]), axis=1)

        columns = tf.map_fn(
            largest,
            tf.transpose(rivals),
            fn_output_signature=tf.float32,
            parallel_iterations=1,
        )
        return tf.transpose(columns)


def _checked_targets(targets: tf.Tensor, predicted: np.ndarray, classes: int) -> np.ndarray:
    targets = as_array("targets", targets)
    if targets.shape != predicted.shape or not np.issubdtype(targets.dtype, np.integer):
        raise InputError(
            f"targets of shape {targets.shape} and dtype {targets.dtype}: must be "
            f"{len(predicted)} integers"
        )
    if targets.min() < 0 or targets.max() >= classes:
        raise InputError(
            f"targets reach from {targets.min()} to {targets.max()}: must be in [0, {classes})"
        )
    if np.any(targets == predicted):
        raise InputError("targets: must not be the predicted classes")
    return targets
