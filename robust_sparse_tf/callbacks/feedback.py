"""Callback that passes validation results to Flying Bird+."""

import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import find_sparse_model


class FlyingBirdFeedback(keras.callbacks.Callback):
    """Passes the results of each epoch to `FlyingBirdPlus`, which then grows or drops more.

    Needs validation data; uses robust accuracies if training is adversarial.
    """

    def __init__(self) -> None:
        super().__init__()
        self._losses: list[float] = []
        self._gaps: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Passes on the results of the epoch.

        Raises:
            InputError: if the method does not use feedback, or validation or accuracies are
                missing.
        """
        logs = logs or {}
        network = find_sparse_model(network_of(self.model))
        method = getattr(network, "method", None)
        if not getattr(method, "feedbacks", 0):
            raise InputError(f"method {type(method).__name__}: must be FlyingBirdPlus")
        name = "robust_accuracy" if "robust_accuracy" in logs else "accuracy"
        if not {"val_loss", name, f"val_{name}"} <= logs.keys():
            raise InputError(
                "FlyingBirdFeedback: needs validation_data, and metrics=['accuracy'] or an attack"
            )
        self._losses.append(logs["val_loss"])
        self._gaps.append(logs[name] - logs[f"val_{name}"])
        network.tell(self._losses, self._gaps)
