"""Averaged weights of a network that trains."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity import masked_weights


class Averages:
    """Exponential moving averages of weights and of batch normalization's running averages.

    After each step, an average becomes decay x itself + (1 - decay) x the weight; it is 0 where the
    weight is pruned. "Averaging Weights Leads to Wider Optima and Better Generalization" (Izmailov
    et al., 2018), with a decay instead of a mean.

    Args:
        network: the network that trains; averages begin at its weights.
        decay: from 0 to 1.

    Attributes:
        variables: the averages.
    """

    def __init__(self, network: keras.Model, decay: float) -> None:
        self._network, self._decay = network, decay
        running = [
            each
            for layer in network._flatten_layers()
            if hasattr(layer, "moving_mean")
            for each in (layer.moving_mean, layer.moving_variance)
        ]
        self._weights = [*network.trainable_variables, *running]
        self.variables = [
            tf.Variable(weight.numpy(), trainable=False, name=f"average_{number}")
            for number, weight in enumerate(self._weights)
        ]

    def update(self) -> None:
        """Updates the averages, in replica context, after the weights and masks of a step."""
        tf.distribute.get_replica_context().merge_call(self._updated)

    def _updated(self, strategy: tf.distribute.Strategy) -> None:
        masks = {entry.weight.ref(): entry.mask for entry in masked_weights(self._network)}
        for average, weight in zip(self.variables, self._weights, strict=True):
            now = tf.cast(tf.convert_to_tensor(weight), average.dtype)
            new = self._decay * average.read_value() + (1 - self._decay) * now
            if weight.ref() in masks:
                new *= tf.cast(tf.convert_to_tensor(masks[weight.ref()]), new.dtype)
            strategy.extended.update(average, lambda own, new: own.assign(new), args=(new,))

    def restart(self) -> None:
        """Begins again at the current weights, outside a step."""
        _assign(self.variables, self._weights)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """A context in which the network has the averages as its weights."""
        before = [weight.numpy() for weight in self._weights]
        _assign(self._weights, self.variables)
        try:
            yield
        finally:
            for weight, value in zip(self._weights, before, strict=True):
                weight.assign(value)


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Variable]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.numpy())
