"""Base of the ways in which the gradient of an objective is computed."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.passes import Passes


class Results(NamedTuple):
    """The results of a step for a part of a batch."""

    losses: tf.Tensor
    """float32 [part]."""
    logits: tf.Tensor | None
    """Logits of the clean images: float32 [part, classes]; None if they are not needed."""
    judged: tf.Tensor
    """The basis of the second metric, such as the logits of adversarial examples."""
    images: tf.Tensor | None = None
    """The adversarial examples, float32 [part, ...]; None if there are none."""

    @classmethod
    def joined(cls, parts: Sequence["Results"]) -> "Results":
        """The results of a whole batch."""
        columns = zip(*parts, strict=True)
        return cls(*(None if each[0] is None else tf.concat(each, 0) for each in columns))


class ObjectiveGradients(abc.ABC):
    """Computes the gradient of an objective, and the second metric, beside the clean accuracy.

    Args:
        passes: the passes of the model that trains.
    """

    def __init__(self, passes: Passes) -> None:
        self.passes = passes
        self.objective = passes.model.objective
        self.attack = self.objective.training_attack(passes.model.attack)
        self.metric = self.new_metric()

    @property
    def judges(self) -> bool:
        """Whether there is a second metric; the robust accuracy needs an attack."""
        return self.attack is not None

    def new_metric(self) -> keras.metrics.Metric:
        """The second metric."""
        return keras.metrics.SparseCategoricalAccuracy("robust_accuracy")

    @abc.abstractmethod
    def of_part(
        self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None
    ) -> tuple[list[tf.Tensor], Results]:
        """The gradients of the objective, summed over a part of the batch, and its results.

        Args:
            attack: the attack of this batch, drawn from `self.attack`; or None.
            batch: the part.
            noise: initial perturbation, if the attack has one.

        Returns:
            The gradient of each trainable variable, and the results.
        """

    def again(self, batch: Batch, images: tf.Tensor | None) -> list[tf.Tensor]:
        """The gradients of a part for the same adversarial examples, after the weights changed.

        Args:
            batch: the part.
            images: `Results.images` of the first time.
        """
        del images
        return self.of_part(None, batch, None)[0]

    @abc.abstractmethod
    def of_test(self, batch: Batch) -> Results:
        """The results of a batch in inference mode."""

    def adversarial(self, batch: Batch) -> tf.Tensor:
        """The adversarial examples of a batch in a test step, float32 [batch, ...]."""
        seed = (self.passes.model.seed, 0)
        return self.attack(self.passes.inference, batch.images, batch.labels, seed=seed)

    def update_metric(self, labels: tf.Tensor, judged: tf.Tensor) -> None:
        """Updates the second metric."""
        self.metric.update_state(labels, judged)
