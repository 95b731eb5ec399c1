"""Schedules: when masks change, and by how much."""

from __future__ import annotations

import math

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

DECAYS = ("constant", "cosine", "polynomial")


def is_due(step: tf.Tensor, *, start: int, stop: int | None, interval: int) -> tf.Tensor:
    """Whether a step is one of start, start + interval, ... before the stop, if any; never 0."""
    inside = (step > 0) & (step >= start)
    if stop:
        inside &= step < stop
    return inside & tf.equal((step - start) % interval, 0)


def decayed(
    value: float, decay: str, step: tf.Tensor, *, stop: int | None, power: float
) -> tf.Tensor:
    """A fraction that decays from `value` at step 0 to 0 at `stop`; constant without a stop.

    "Rigging the Lottery" (Evci et al., 2020), equation 1, for "cosine"; "polynomial" is
    value (1 - step / stop)^power.
    """
    if decay == "constant" or not stop:
        return tf.constant(value)
    done = tf.minimum(tf.cast(step, tf.float32) / stop, 1.0)
    if decay == "cosine":
        return value / 2 * (1 + tf.cos(math.pi * done))
    return value * (1 - done) ** power
