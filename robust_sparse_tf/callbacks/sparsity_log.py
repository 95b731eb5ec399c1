"""Sparsity for TensorBoard."""

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.options import checked_path, require
from robust_sparse_tf.sparsity import statistics

_OF_LAYERS = ("density", "active", "changed", "exploration")
_OF_ALL = (*_OF_LAYERS, "no_input", "no_output", "flops", "bytes")


class SparsityLog(keras.callbacks.Callback):
    """Writes how sparse each layer and the model are, and the epoch's metrics, for TensorBoard.

    The scalars are those of `sparsity.statistics`, read from the masks once an epoch: `density`,
    `active` (weights), `changed` (weights), `exploration`, `no_input` and `no_output` (units),
    `flops` (fraction of the dense network's, where it is known) and `bytes` of the whole, and
    `density/<layer>`, `active/<layer>`, `changed/<layer>` and `exploration/<layer>`. The density of
    the whole is among the logs of the epoch, too: the history and what `fit` prints have it.

    Args:
        log_dir: folder of the event files.

    Raises:
        InputError: for a folder that is no path.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__()
        log_dir = checked_path("log_dir", log_dir)
        with files.naming(log_dir):
            self._writer = tf.summary.create_file_writer(log_dir)

    def set_model(self, model: keras.Model) -> None:
        """Called by `fit`; raises `InputError` for what is no tf_keras model."""
        require("model", model, keras.Model)
        super().set_model(model)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes one point of each scalar."""
        found = statistics(self.model)
        if logs is not None:  # which Keras hands on to the callbacks after this one
            logs["density"] = found["density"]
        scalars = {k: v for k, v in found.items() if k in _OF_ALL and v is not None}
        for name, layer in found["layers"].items():
            scalars |= {f"{k}/{name}": v for k, v in layer.items() if k in _OF_LAYERS}
        with self._writer.as_default(step=epoch):
            for name, value in (scalars | (logs or {})).items():
                tf.summary.scalar(name, value)
        self._writer.flush()
