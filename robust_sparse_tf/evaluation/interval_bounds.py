"""Interval bounds on the logits over a ball of inputs, and the accuracy that they certify.

By interval bound propagation, "On the Effectiveness of Interval Bound Propagation for Training
Verifiably Robust Models" (Gowal et al., 2018). All bounds hold up to the rounding of float32.
"""

import math
from typing import Any

import tensorflow as tf

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.evaluation.inputs import Data, batches, examples, unwrapped
from robust_sparse_tf.evaluation.propagation import (
    DUAL,
    input_box,
    linear_end,
    middle_of,
    propagate,
)
from robust_sparse_tf.options import require
from robust_sparse_tf.tensors import as_labels, check_types
from robust_sparse_tf.values import check_labels

_BATCH = 100  # images; each needs a matrix [features, classes] at the last layer


def logit_bounds(model: Any, x: tf.Tensor, ball: Ball) -> tuple[tf.Tensor, tf.Tensor]:
    """Bounds on all logits over the ball around each input.

    Args:
        model: a Sequential or functional tf_keras model, wrapped or not, of dense layers, 2D
            convolutions, and the usual layers between them.
        x: float32 [batch, ...] from ball.low to ball.high.
        ball: the inputs for which the bounds hold; its epsilon may be a tensor.

    Returns:
        (low, high), float32 [batch, classes] each.

    Raises:
        InputError: naming the layer that is not supported.
    """
    last = propagate(unwrapped(model), input_box(x, ball))[-1]
    return last.output.low, last.output.high


def margin_bounds(model: Any, x: tf.Tensor, y: tf.Tensor, ball: Ball) -> tf.Tensor:
    """Lower bounds on the label's logit minus each other logit over the ball; see `logit_bounds`.

    The differences are computed in the weights of the last dense layer ("elision of the last
    layer"), which is tighter than to subtract bounds on logits.

    Returns:
        float32 [batch, classes], infinity at the label.
    """
    box, y = input_box(x, ball), as_labels("labels", y)
    check_types(box.low, y)
    steps = propagate(unwrapped(model), box)
    if tf.executing_eagerly():
        check_labels(y.numpy(), steps[-1].output.low.shape[-1])
    if end := linear_end(steps):
        weights, biases = end.differences(y)
        inside = end.features
        centre, radius = middle_of(inside)
        spread = tf.einsum("bd,bdk->bk", radius, tf.abs(weights))
        margins = tf.einsum("bd,bdk->bk", centre, weights) + biases - spread
        if inside.ball is not None:
            at_x = tf.einsum("bd,bdk->bk", inside.ball.centre, weights) + biases
            lengths = tf.norm(weights * inside.ball.scale[..., None], DUAL[ball.norm], axis=1)
            margins = tf.maximum(margins, at_x - ball.epsilon * lengths)
    else:
        low, high, _ = steps[-1].output
        margins = tf.gather(low, y, batch_dims=1)[:, None] - high
    label = tf.one_hot(y, margins.shape[-1], on_value=True, off_value=False)
    return tf.where(label, math.inf, margins)


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
