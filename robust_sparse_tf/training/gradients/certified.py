"""Gradients of an objective of clean logits and of bounds on margins."""

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.bounds import interval_bounds, propagation
from robust_sparse_tf.models import added_losses
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.base import ObjectiveGradients, Results
from robust_sparse_tf.training.gradients.passes import Pass, Passes


class CertifiedGradients(ObjectiveGradients):
    """One tape over the clean pass and the bounds; the metric is the certified accuracy.

    In training the radius is that of the step, in tests that at the end of the ramp.

    Args:
        passes: the passes of the model that trains.

    Raises:
        InputError: naming a layer without bounds.
    """

    def __init__(self, passes: Passes) -> None:
        super().__init__(passes)
        shape = self.passes.model.network.input_shape[1:]
        if None not in shape:  # refuses layers now, and not at the first step
            self._margins(tf.zeros([1, *shape]), tf.zeros([1], tf.int64))

    @property
    def judges(self) -> bool:
        """See `ObjectiveGradients.judges`."""
        return True

    def new_metric(self) -> keras.metrics.Metric:
        """See `ObjectiveGradients.new_metric`."""
        return keras.metrics.Mean("certified_accuracy")

    def of_part(
        self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None
    ) -> tuple[list[tf.Tensor], Results]:
        """See `ObjectiveGradients.of_part`."""
        del attack, noise
        model, objective, passes = self.passes.model, self.objective, self.passes
        x, y, _ = batch
        progress = objective.progress(model.step)
        with tf.GradientTape() as tape:
            logits, margins = objective.margins(model.network, x, y, progress)
            found = Pass(logits, added_losses.of_last_call(model.network))
            losses = self._losses(batch, found, margins, progress)
            scaled = passes.scaled(losses)
        return passes.of_weights(tape, scaled), Results(losses, logits, margins)

    def of_test(self, batch: Batch) -> Results:
        """See `ObjectiveGradients.of_test`."""
        found = self.passes.testing(batch.images)
        margins = self._margins(batch.images, batch.labels)
        return Results(self._losses(batch, found, margins, tf.constant(1.0)), found.logits, margins)

    def update_metric(self, labels: tf.Tensor, judged: tf.Tensor) -> None:
        """See `ObjectiveGradients.update_metric`."""
        del labels
        self.metric.update_state(tf.reduce_all(judged > 0, axis=1))

    def _losses(
        self, batch: Batch, found: Pass, margins: tf.Tensor, progress: tf.Tensor
    ) -> tf.Tensor:
        losses = self.objective.losses(batch.labels, found.logits, margins, progress)
        return self.passes.losses(batch, losses, found)

    def _margins(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Bounds on margins at inference, at the end of the ramp."""
        ball = self.objective.ball()
        steps = propagation.propagate(self.passes.model.network, propagation.input_box(x, ball))
        return interval_bounds.margins(steps, y, ball)
