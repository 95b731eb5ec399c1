"""Detects catastrophic overfitting: models that resist only the single-step training attack."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import PGD, Attack, RandomIntensity
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import checked, shown
from robust_sparse_tf.tensors import as_array, as_labels, check_types
from robust_sparse_tf.texts import percent

_IMAGES = 200
_LEAST = 0.1  # for 200 images, three standard deviations of a random difference
_LEARNT = 0.5
_NOTHING = 0.05


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        step: training steps done.
        accuracy: fraction of images robust to PGD.
        own_accuracy: fraction of images robust to the training attack.
    """

    step: int
    accuracy: float
    own_accuracy: float


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Warns when a model has overfitted to the training attack, and optionally stops training.

    "Fast is better than free: Revisiting adversarial training" (Wong et al., 2020), section 5;
    "Understanding and Improving Fast Adversarial Training" (Andriushchenko and Flammarion, 2020),
    section 1. It compares training accuracies on a fixed set of images, which distinguishes it from
    the slow overfitting of test accuracies. For `AdversarialModel` with an attack. Training is
    bit-identical with and without the callback, until it stops.

    Args:
        batch: training images in the clip range and their labels, or a `Split`, whose first 200
            images are used.
        attack: the stronger attack; by default PGD with 10 steps of size epsilon / 4 in the ball of
            the training attack.
        every: steps between checks; checks are made at the end of an execution.
        fall: the fraction of an accuracy that must be lost, see `signs`.
        stop: whether to stop training, too.

    Attributes:
        history: a list of `Check`s.

    Raises:
        InputError: for numbers out of range, or a model without a training attack.
    """

    def __init__(
        self,
        batch: Split | tuple[np.ndarray, np.ndarray],
        attack: Attack | None = None,
        *,
        every: int = 100,
        fall: float = 0.5,
        stop: bool = False,
    ) -> None:
        super().__init__()
        every = checked("every", every, int, minimum=1)
        fall = checked("fall", fall, float)
        if not 0 < fall < 1:
            raise InputError(f"fall={fall}: must be between 0 and 1, exclusive")
        stop = checked("stop", stop, bool)
        if attack is not None and (not isinstance(attack, Attack) or attack.targeted):
            raise InputError(f"attack={shown(attack)}: must be an untargeted Attack")
        if isinstance(batch, Split):
            batch = batch.gather(tf.range(min(_IMAGES, batch.size), dtype=tf.int64))
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise InputError(f"batch of type {type(batch).__name__}: must be (images, labels)")
        images, labels = as_array("images", batch[0]), as_labels("labels", batch[1])
        check_types(images, labels)
        self._images, self._labels = tf.cast(images, tf.float32), labels
        self._attack, self._every, self._fall, self._stop = attack, every, fall, stop
        self._last = 0
        self.history: list[Check] = []

    def set_model(self, model: keras.Model) -> None:
        """Sets the model and its attack; called by `fit`."""
        own = getattr(model, "attack", None)
        if isinstance(own, RandomIntensity):
            own = own.attack  # at its own epsilon
        if own is None or own.epsilon == 0:
            raise InputError(f"attack={own}: the model must be trained under one, epsilon above 0")
        self._last = int(model.step.numpy())
        if model is self.model:
            return
        super().set_model(model)
        self._own, network = own, model.network
        # CleverHans traces a graph for each callable it is given, and keeps it.
        self._logits = lambda inputs: network(inputs, training=False)
        self._measure = tf.function(self._accuracies)
        self._strong = self._attack or PGD(steps=10, **dataclasses.asdict(own.ball))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the model if a check is due."""
        step = int(self.model.step.numpy())
        if step // self._every == self._last // self._every:
            return
        self._last = step
        self.history.append(self.check())
        if self.is_sign(self.history):
            warnings.warn(self.evidence(self.history), RunWarning, stacklevel=2)
            self.model.stop_training |= self._stop

    def check(self) -> Check:
        """Attacks the batch, without changing the history."""
        accuracies = self._measure(self._images, self._labels).numpy().tolist()
        return Check(int(self.model.step.numpy()), *accuracies)

    def is_sign(self, history: Sequence[Check]) -> bool:
        """Whether catastrophic overfitting is first detected at the last of the given checks."""
        return signs(history, self._fall)[-1:] == [len(history) - 1]

    def evidence(self, history: Sequence[Check]) -> str:
        """A line about the last of the given checks."""
        now, best = history[-1], max(history, key=lambda check: check.accuracy)
        line = (
            f"catastrophic overfitting at step {now.step}: of {len(self._labels)} training images "
            f"{percent(now.own_accuracy, digits=1)} % are robust to {type(self._own).__name__}, "
            f"which is trained on, but {percent(now.accuracy, digits=1)} % to "
            f"{type(self._strong).__name__}"
        )
        if best.accuracy > now.accuracy:
            line += (
                f", which at best, at step {best.step}, {percent(best.accuracy, digits=1)} % were"
            )
        return line

    def _accuracies(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Accuracies under PGD and under the training attack: float64 [2]."""
        seed = (self.model.seed, 0)
        found = [
            self._logits(attack(self._logits, x, y, seed=seed))
            for attack in (self._strong, self._own)
        ]
        right = tf.equal(tf.argmax(tf.stack(found), axis=2), y)
        return tf.reduce_mean(tf.cast(right, tf.float64), axis=1)


def signs(history: Sequence[Check], fall: float = 0.5) -> list[int]:
    """The numbers of the checks at which catastrophic overfitting is first detected.

    It is detected if the accuracy under the training attack is at least 1/2, and that under PGD at
    most a twentieth of it, whatever came before. It is also detected if the accuracy under PGD is
    not above its best so far, is at most (1 - `fall`) times that under the training attack, and

    - is at most (1 - `fall`) times its best so far, and lower by at least a tenth of the images; or
    - the accuracy under the training attack is at least 1/2: PGD's may have fallen between two
      checks, or never have risen.

    A new event is detected only after the accuracy under PGD has recovered to (1 - `fall` / 2)
    times that under the training attack.
    """
    found, best, seen = [], 0.0, False
    for number, (_, accuracy, own) in enumerate(history):
        fallen = accuracy <= min((1 - fall) * best, best - _LEAST)
        behind = accuracy <= (1 - fall) * own
        if seen:
            seen = accuracy < (1 - fall / 2) * own
        elif (own >= _LEARNT and accuracy <= _NOTHING * own) or (
            number and behind and accuracy <= best and (fallen or own >= _LEARNT)
        ):
            found.append(number)
            seen = True
        best = max(best, accuracy)
    return found
