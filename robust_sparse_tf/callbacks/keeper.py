"""Base of callbacks for models with their own train step."""

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import (
    MaskedWeight,
    masked_weights,
    silence_tfmot,
    slots,
)


class MaskKeeper(keras.callbacks.Callback):
    """Keeps masks in training; attaches masks of tfmot's wrappers to their weights."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Attaches the masks to the weights.

        Raises:
            InputError: if the model has no masks.
        """
        if not self.entries():
            raise InputError(
                f"model {self.model.name}: has no masks; sparsify it, or wrap it with tfmot's "
                "prune_low_magnitude"
            )
        if silence_tfmot(self._network()):
            self.model.make_train_function(force=True)  # an earlier fit traced the schedule
        slots.build(self.model.optimizer, self.model.trainable_variables)

    def entries(self) -> list[MaskedWeight]:
        """The prunable weights of the trained model."""
        return list(masked_weights(self._network()))

    def steps(self) -> tf.Tensor:
        """The number of optimizer steps so far: int64."""
        return tf.cast(self.model.optimizer.iterations, tf.int64)

    def _network(self) -> keras.Model:
        return network_of(self.model)
