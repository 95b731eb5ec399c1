"""Gradients of a weighted sum of the clean and the adversarial loss, one by one."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.attacks.losses import cross_entropy
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.base import ObjectiveGradients, Results
from robust_sparse_tf.training.gradients.passes import Pass


class _Clean(NamedTuple):
    """The results of the clean images before the attack; empty or None if not needed."""

    gradients: Sequence[tf.Tensor] = ()
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
        clean = self._clean(attack, batch, noise)
        if not attack:
            return [*clean.gradients], Results(clean.losses, clean.logits, clean.logits)
        labels = batch.labels if clean.labels is None else clean.labels
        images = self.passes.ascend(attack, batch.images, labels, noise, clean.at_x)
        return self._mixed(batch, clean, images)

    def again(self, batch: Batch, images: tf.Tensor | None) -> list[tf.Tensor]:
        """See `ObjectiveGradients.again`."""
        clean = self._clean(None, batch, None)
        return [*clean.gradients] if images is None else self._mixed(batch, clean, images)[0]

    def _mixed(
        self, batch: Batch, clean: _Clean, images: tf.Tensor
    ) -> tuple[list[tf.Tensor], Results]:
        """The gradients and results with those of adversarial examples."""
        passes, mix = self.passes, self.objective.mix
        with tf.GradientTape() as tape:
            moves = passes.moves(adversarial=True)
            found = passes.training(batch._replace(images=images), moves=moves)
            losses = self._losses(batch, found)
            scaled = passes.scaled(losses)
        gradients = passes.of_weights(tape, scaled)
        if self.objective.clean_weight:
            pairs = zip(clean.gradients, gradients, strict=True)
            gradients, losses = [mix(*pair) for pair in pairs], mix(clean.losses, losses)
        return gradients, Results(losses, clean.logits, found.logits, images)

    def _clean(self, attack: Ascent | None, batch: Batch, noise: tf.Tensor | None) -> _Clean:
        """The pass of the clean images, as far as it is needed; `attack` follows it, if given."""
        passes, x = self.passes, batch.images
        predicted = attack is not None and attack.attack_labels == "predicted"
        alone = self.attack is None
        weighs = alone or self.objective.clean_weight > 0
        if not (weighs or passes.needs_clean()):
            return _Clean(labels=tf.argmax(passes.attacked(x), axis=1) if predicted else None)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            found = passes.training(batch, moves=alone or passes.moves(adversarial=False))
            losses = self._losses(batch, found)
            labels = batch.labels
            if predicted:
                labels = tf.argmax(found.logits if passes.pure else passes.attacked(x), axis=1)
            # If this is also the clean loss, TensorFlow merges the backward passes.
            attacked = cross_entropy(found.logits, labels)
            scaled = passes.scaled(losses)
        gradients = passes.of_weights(tape, scaled) if weighs else ()
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
