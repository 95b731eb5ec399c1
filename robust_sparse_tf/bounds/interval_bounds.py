"""Interval bounds on the logits over a ball of inputs.

By interval bound propagation, "On the Effectiveness of Interval Bound Propagation for Training
Verifiably Robust Models" (Gowal et al., 2018). All bounds hold up to the rounding of float32.
"""

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds import crown
from robust_sparse_tf.bounds.inputs import unwrapped
from robust_sparse_tf.bounds.methods import METHODS
from robust_sparse_tf.bounds.propagation import (
    DUAL,
    Step,
    input_box,
    linear_end,
    middle_of,
    propagate,
)
from robust_sparse_tf.options import checked
from robust_sparse_tf.tensors import as_labels, check_types
from robust_sparse_tf.values import check_labels


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


def margin_bounds(
    model: Any, x: tf.Tensor, y: tf.Tensor, ball: Ball, method: str = "interval"
) -> tf.Tensor:
    """Lower bounds on the label's logit minus each other logit over the ball; see `logit_bounds`.

    The differences are computed in the weights of the last dense layer ("elision of the last
    layer"), which is tighter than to subtract bounds on logits.

    Args:
        model: see `logit_bounds`.
        x: see `logit_bounds`.
        y: integers [batch].
        ball: see `logit_bounds`.
        method: "interval", or "linear" for the maximum of interval bounds and those of `crown`,
            which take the more time the more units a network has.

    Returns:
        float32 [batch, classes], infinity at the label.
    """
    method = checked("method", method, str, choices=METHODS)
    box, y = input_box(x, ball), as_labels("labels", y)
    check_types(box.low, y)
    steps = propagate(unwrapped(model), box)
    if tf.executing_eagerly():
        check_labels(y.numpy(), steps[-1].output.low.shape[-1])
    found = margins(steps, y, ball)
    if method == "linear":
        found = tf.maximum(found, crown.margins(crown.tightened(steps, ball), y, ball))
    return found


def training_margins(
    network: keras.Model, x: tf.Tensor, y: tf.Tensor, ball: Ball
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits and `margin_bounds` in training mode, differentiable with respect to the weights.

    The pass moves running averages, as one of the network itself does; see `propagation.propagate`.

    Args:
        network: with or without masks, which must be stored in the weights.
        x: float32 [batch, ...].
        y: int64 [batch].
        ball: see `logit_bounds`.

    Returns:
        Logits of the clean inputs and lower bounds of margins, float32 [batch, classes] each.
    """
    steps = training_steps(network, x, ball)
    return steps[-1].output.clean, margins(steps, y, ball)


def training_steps(network: keras.Model, x: tf.Tensor, ball: Ball) -> list[Step]:
    """The pass of `training_margins`."""
    return propagate(network, input_box(x, ball)._replace(clean=x))


def margins(steps: list[Step], y: tf.Tensor, ball: Ball) -> tf.Tensor:
    """`margin_bounds` of a pass.

    Args:
        steps: from `propagation.propagate`.
        y: int64 [batch].
        ball: that of the pass.
    """
    if end := linear_end(steps):
        weights, biases = end.differences(y)
        inside = end.features
        centre, radius = middle_of(inside)
        spread = tf.einsum("bd,bdk->bk", radius, tf.abs(weights))
        found = tf.einsum("bd,bdk->bk", centre, weights) + biases - spread
        if inside.ball is not None:
            at_x = tf.einsum("bd,bdk->bk", inside.ball.centre, weights) + biases
            lengths = tf.norm(weights * inside.ball.scale[..., None], DUAL[ball.norm], axis=1)
            found = tf.maximum(found, at_x - ball.epsilon * lengths)
    else:
        low, high = steps[-1].output[:2]
        found = tf.gather(low, y, batch_dims=1)[:, None] - high
    label = tf.one_hot(y, found.shape[-1], on_value=True, off_value=False)
    return tf.where(label, math.inf, found)
