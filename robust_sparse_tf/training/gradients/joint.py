"""The gradient of a loss of clean and adversarial logits together."""

import tensorflow as tf

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.base import ObjectiveGradients, Results
from robust_sparse_tf.training.gradients.passes import Pass


class JointGradients(ObjectiveGradients):
    """One tape over both passes. What the network adds to the loss is the mean of both."""

    def of_part(
        self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None
    ) -> tuple[list[tf.Tensor], Results]:
        """See `ObjectiveGradients.of_part`."""
        passes, labels = self.passes, batch.labels
        if attack is None:  # which `Joint.training_attack` refuses before
            raise TypeError("a joint objective needs an attack")
        if attack.attack_labels == "predicted":
            labels = tf.argmax(passes.attacked(batch.images), axis=1)
        images = passes.ascend(attack, batch.images, labels, noise)
        return self._of_both(batch, images)

    def again(self, batch: Batch, images: tf.Tensor | None) -> list[tf.Tensor]:
        """See `ObjectiveGradients.again`."""
        return self._of_both(batch, images)[0]

    def _of_both(self, batch: Batch, images: tf.Tensor) -> tuple[list[tf.Tensor], Results]:
        passes = self.passes
        with tf.GradientTape() as tape:
            clean = passes.training(batch, moves=passes.moves(adversarial=False))
            attacked = batch._replace(images=images)
            found = passes.training(attacked, moves=passes.moves(adversarial=True))
            losses = self._losses(batch, clean, found)
            scaled = passes.scaled(losses)
        results = Results(losses, clean.logits, found.logits, images)
        return passes.of_weights(tape, scaled), results

    def of_test(self, batch: Batch) -> Results:
        """See `ObjectiveGradients.of_test`."""
        clean = self.passes.testing(batch.images)
        found = self.passes.testing(self.adversarial(batch))
        return Results(self._losses(batch, clean, found), clean.logits, found.logits)

    def _losses(self, batch: Batch, clean: Pass, found: Pass) -> tf.Tensor:
        losses = self.objective.losses(batch.labels, clean.logits, found.logits)
        return self.passes.losses(batch, losses, clean, found)
