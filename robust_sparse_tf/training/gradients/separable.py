"""Gradients of a weighted sum of the clean and the adversarial loss, one by one."""

from typing import NamedTuple

import tensorflow as tf

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.attacks.losses import cross_entropy
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.base import ObjectiveGradients, Results
from robust_sparse_tf.training.gradients.passes import Pass


class _Clean(NamedTuple):
    """The results of the clean images before the attack; None for each that is not needed."""

    gradients: list[tf.Tensor] | None = None
    losses: tf.Tensor | None = None
    logits: tf.Tensor | None = None
    labels: tf.Tensor | None = None
    at_x: tf.Tensor | None = None


class SeparableGradients(ObjectiveGradients):
    """Two tapes, whose gradients are mixed; the attack shares the clean forward pass.

    Without a weight of the clean loss there is no clean gradient, and no clean forward pass unless
    `Passes.needs_clean`.
    """

    def of_part(
        self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None
    ) -> tuple[list[tf.Tensor], Results]:
        """See `ObjectiveGradients.of_part`."""
        passes, mix = self.passes, self.objective.mix
        clean = self._clean(attack, batch, noise)
        if not attack:
            return clean.gradients, Results(clean.losses, clean.logits, clean.logits)
        x, labels = batch.images, batch.labels if clean.labels is None else clean.labels
        adversarial = attack.ascend(passes.inference, x, labels, noise, clean.at_x)
        with tf.GradientTape() as tape:
            found = passes.training(batch._replace(images=adversarial))
            losses = self._losses(batch, found)
            scaled = passes.scaled(losses)
        gradients = passes.of_weights(tape, scaled)
        if self.objective.clean_weight:
            pairs = zip(clean.gradients, gradients, strict=True)
            gradients, losses = [mix(*pair) for pair in pairs], mix(clean.losses, losses)
        return gradients, Results(losses, clean.logits, found.logits)

    def _clean(self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None) -> _Clean:
        """The pass of the clean images, as far as it is needed."""
        passes, x = self.passes, batch.images
        predicted = attack is not None and attack.attack_labels == "predicted"
        weighs = attack is None or self.objective.clean_weight > 0
        if not (weighs or passes.needs_clean()):
            return _Clean(labels=tf.argmax(passes.inference(x), axis=1) if predicted else None)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            found = passes.training(batch)
            losses = self._losses(batch, found)
            labels = batch.labels
            if predicted:
                labels = tf.argmax(found.logits if passes.pure else passes.inference(x), axis=1)
            # If this is also the clean loss, TensorFlow merges the backward passes.
            attacked = cross_entropy(found.logits, labels)
            scaled = passes.scaled(losses)
        gradients = passes.of_weights(tape, scaled) if weighs else None
        shares = attack and passes.pure and noise is None
        at_x = tape.gradient(attacked, x) if shares else None
        return _Clean(gradients, losses, found.logits, labels, at_x)

    def of_test(self, batch: Batch) -> Results:
        """See `ObjectiveGradients.of_test`."""
        clean = self.passes.testing(batch.images)
        losses = self._losses(batch, clean)
        if not self.attack:
            return Results(losses, clean.logits, clean.logits)
        robust = self.passes.testing(self.adversarial(batch))
        mixed = self.objective.mix(losses, self._losses(batch, robust))
        return Results(mixed, clean.logits, robust.logits)

    def _losses(self, batch: Batch, found: Pass) -> tf.Tensor:
        losses = self.objective.example_losses(batch.labels, found.logits)
        return self.passes.losses(batch, losses, found)
