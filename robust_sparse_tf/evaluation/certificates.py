"""The accuracy that bounds on the logits certify."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds.interval_bounds import margin_bounds
from robust_sparse_tf.bounds.methods import METHODS
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import Data, Examples, examples, unwrapped
from robust_sparse_tf.options import checked, require
from robust_sparse_tf.training.objectives import Certified
from robust_sparse_tf.values import check_labels


def certified_accuracy(
    model: Any,
    data: Data,
    epsilon: float | None = None,
    *,
    ball: Ball | None = None,
    batch_size: int = 100,
    method: str = "interval",
) -> float:
    """The fraction of examples that provably no input of a ball can fool.

    It is at most the robust accuracy. In l2 and l1 only the first layer uses the ball itself, and
    all others a box, so that little is certified.

    Args:
        model: see `bounds.logit_bounds`.
        data: see `inputs.images_and_labels`; images must be in the ball's range.
        epsilon: radius of the ball, in input units; the default is that of `ball` or, without it,
            of the training of a model that trains on bounds.
        ball: norm and range of the ball; the default is linf in [0, 1].
        batch_size: examples bounded at a time; limits the memory.
        method: "interval", or "linear", which tries linear bounds on the other examples, too; see
            `bounds.margin_bounds`.

    Raises:
        InputError: naming what does not fit, such as a layer that is not supported.
    """
    certifier = Certifier(model, _ball(model, epsilon, ball), batch_size=batch_size, method=method)
    return float(certifier(data).mean())


class Certifier:
    """Finds which examples are certified; it is traced once for all data.

    Args:
        model: see `certified_accuracy`.
        ball: likewise.
        batch_size: likewise.
        method: likewise.
    """

    def __init__(
        self, model: Any, ball: Ball, *, batch_size: int = 100, method: str = "interval"
    ) -> None:
        self._batch_size = checked("batch_size", batch_size, int, minimum=1)
        method = checked("method", method, str, choices=METHODS)
        self._network, self._ball = unwrapped(model), ball
        # Linear bounds take longer, so they are only tried where intervals fail.
        names = METHODS[: METHODS.index(method) + 1]
        self._checks = [_check(self._network, ball, name) for name in names]

    def __call__(self, data: Data | Examples) -> np.ndarray:
        """Which examples are certified: bool [n]."""
        split = examples(data, self._ball.limits)
        check_labels(split.labels, self._network.output_shape[-1])
        found = np.zeros(split.size, bool)
        for check in self._checks:
            left = np.flatnonzero(~found)
            for first in range(0, len(left), self._batch_size):
                numbers = left[first : first + self._batch_size]
                found[numbers] = check(*split.gather(tf.constant(numbers, tf.int64))).numpy()
        return found


def _check(
    network: keras.Model, ball: Ball, method: str
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A compiled function from images and labels to whether each is certified."""

    @tf.function(reduce_retracing=True, autograph=False)
    def check(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(margin_bounds(network, x, y, ball, method) > 0, axis=1)

    return check


def training_ball(objective: Any) -> Ball | None:
    """The ball of an objective of bounds, at the end of its ramp; None for others, and for none."""
    return objective.ball() if isinstance(objective, Certified) else None


def _ball(model: Any, epsilon: float | None, ball: Ball | None) -> Ball:
    if ball is not None:
        require("ball", ball, Ball)
    if epsilon is None:
        ball = ball or training_ball(getattr(model, "objective", None))
        if ball is None:
            raise InputError("epsilon=None: must be given, or a ball")
        return ball
    epsilon = checked("epsilon", epsilon, float, minimum=0)
    return ball.at(epsilon) if ball else Ball("linf", epsilon)
