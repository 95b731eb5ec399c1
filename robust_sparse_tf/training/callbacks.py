"""tf_keras callbacks."""

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity import densities


class SparsityLog(keras.callbacks.Callback):
    """Writes the density of each layer, and the epoch's metrics, for TensorBoard.

    Args:
        log_dir: folder of the event files.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(log_dir)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes one point of each scalar."""
        whole, layers = densities(getattr(self.model, "network", self.model))
        with self._writer.as_default(step=epoch):
            tf.summary.scalar("density", whole)
            for name, value in layers.items():
                tf.summary.scalar(f"density/{name}", value)
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
        self._writer.flush()
