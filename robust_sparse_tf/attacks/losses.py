"""Losses that attacks maximise: functions of logits [batch, classes] and integer labels [batch]."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from etils import epy

from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

Loss: TypeAlias = "Callable[[tf.Tensor, tf.Tensor], tf.Tensor]"


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-log of the label's probability: float32 [batch]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def kl_divergence(logits: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """KL(p || q) of the probabilities p of logits and q of other logits: float32 [batch]."""
    logs = tf.nn.log_softmax(logits)
    return tf.reduce_sum(tf.exp(logs) * (logs - tf.nn.log_softmax(other)), axis=1)


def margin(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The label's logit minus the largest other: float32 [batch]; negative if misclassified."""
    chosen = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False)
    own = tf.reduce_sum(tf.where(chosen, logits, 0.0), axis=1)
    return own - tf.reduce_max(tf.where(chosen, logits.dtype.min, logits), axis=1)


def value_and_gradient(
    loss: Loss,
    model: Callable[[tf.Tensor], tf.Tensor],
    x: tf.Tensor,
    labels: tf.Tensor,
    draws: int = 1,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the loss and logits of each example, and the gradient of the loss at the example.

    With several draws this is expectation over transformation, "Synthesizing Robust Adversarial
    Examples" (Athalye et al., 2018), section 2.1.

    Args:
        loss: from (logits, labels) to float32 [batch].
        model: from inputs to logits [batch, classes].
        x: float32 [batch, ...].
        labels: integers [batch].
        draws: forward passes over which all three are averaged, see `averaged`.

    Raises:
        InputError: see `required`.
    """

    def once() -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            logits = model(x)
            losses = loss(logits, labels)
        return [losses, logits, required(tape.gradient(losses, x))]

    losses, logits, gradient = averaged(once, draws)
    return losses, logits, gradient


def averaged_logits(
    model: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, draws: int = 1
) -> tf.Tensor:
    """Returns the mean logits of several forward passes, see `averaged`: float32 [batch, classes].

    Args:
        model: from inputs to logits [batch, classes].
        x: float32 [batch, ...].
        draws: number of forward passes.
    """
    return averaged(lambda: [model(x)], draws)[0]


def averaged(once: Callable[[], list[tf.Tensor]], draws: int) -> list[tf.Tensor]:
    """Returns the mean of the tensors that several calls of a function return.

    Each call is a forward pass of its own, in which layers with noise draw it again, be it of
    weights, once per pass, or of activations. Time grows with their number; memory does not.

    Args:
        once: returns float32 tensors, whose shapes are the same in each call.
        draws: number of calls.
    """
    total = once()
    if draws == 1:
        return total

    def again(number: tf.Tensor, total: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return number + 1, [tf.add_n(pair) for pair in zip(total, once(), strict=True)]

    _, total = tf.while_loop(
        lambda number, _: number < draws,
        again,
        (tf.constant(1), total),
        maximum_iterations=draws - 1,
    )
    return [each / draws for each in total]


def required(gradient: tf.Tensor | None) -> tf.Tensor:
    """Returns the gradient; raises InputError if the model has none with respect to its inputs."""
    if gradient is None:
        raise InputError(
            "model: has no gradient with respect to its inputs (it may cast or round them), which "
            "the attack needs"
        )
    return gradient
