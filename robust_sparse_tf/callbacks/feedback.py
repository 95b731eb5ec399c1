"""What a method is told of the training, as Flying Bird+ wants it."""

import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import find_sparse_model


class FlyingBirdFeedback(keras.callbacks.Callback):
    """Tells the model's method of each epoch: `FlyingBirdPlus`, whether to grow or to drop more.

    Needs validation data; compares robust accuracies where training is adversarial.
    """

    def __init__(self) -> None:
        super().__init__()
        self._losses: list[float] = []
        self._gaps: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the epoch's figures.

        Raises:
            InputError: where the method takes no feedback, or validation or accuracies miss.
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
