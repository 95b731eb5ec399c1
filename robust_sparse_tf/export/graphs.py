"""Functions of arrays, such as those of interpreters, in TensorFlow's graphs."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def in_graphs(
    function: Callable[[np.ndarray], np.ndarray], classes: int | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from images [n, ...] to logits that graphs can call; it has no gradient.

    Attacks by scores run much faster in graphs.

    Args:
        function: from arrays [n, ...] to float32 [n, classes].
        classes: number of logits; None if it is not known.
    """

    def logits(x: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(function, [x], tf.float32)
        found.set_shape([x.shape[0], classes])
        return found

    return logits
