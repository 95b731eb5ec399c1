"""The accuracy that bounds on the logits certify."""

from typing import Any

import tensorflow as tf

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds.interval_bounds import margin_bounds
from robust_sparse_tf.evaluation.inputs import Data, batches, examples, unwrapped
from robust_sparse_tf.options import require
from robust_sparse_tf.values import check_labels

_BATCH = 100  # images; each needs a matrix [features, classes] at the last layer


def certified_accuracy(model: Any, data: Data, ball: Ball) -> float:
    """The fraction of examples that provably no input of the ball can fool.

    It is at most the robust accuracy. See `margin_bounds` for arguments and errors, and
    `inputs.images_and_labels` for data, which must be in the ball's range. In l2 and l1 only the
    first layer uses the ball itself, and all others a box, so that little is certified.
    """
    require("ball", ball, Ball)
    network = unwrapped(model)
    split = examples(data, ball.limits)
    check_labels(split.labels, network.output_shape[-1])

    @tf.function(reduce_retracing=True)
    def certified(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        bounds = margin_bounds(network, x, y, ball)
        return tf.math.count_nonzero(tf.reduce_all(bounds > 0, axis=1))

    return sum(int(certified(x, y)) for _, x, y in batches(split, _BATCH)) / split.size
