"""Forward passes of a network that trains, and gradients of their losses."""

from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent
from robust_sparse_tf.attacks.precision import Float32, Logits, is_half
from robust_sparse_tf.models import added_losses
from robust_sparse_tf.models.layers import BinaryLogits, ParameterFreeShortcut
from robust_sparse_tf.training.activations import with_activations
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.gradients.folded import Folded, can_fold
from robust_sparse_tf.training.gradients.running_averages import held

# Layers whose output for an example depends only on that example and the weights. Their subclasses
# may draw random numbers.
_PURE_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Rescaling,
    keras.layers.Dense,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv2DTranspose,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Add,
    BinaryLogits,
)
_PURE_AT_INFERENCE = (
    *_PURE_LAYERS,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.ZeroPadding2D,
    ParameterFreeShortcut,
)


def is_pure(network: keras.Model) -> bool:
    """Whether a network treats each example alone, and equally in training and inference."""
    return _has_only(network, _PURE_LAYERS)


def _has_only(network: keras.Model, kinds: tuple[type, ...]) -> bool:
    return all(type(getattr(layer, "layer", layer)) in kinds for layer in network.layers)


class Pass(NamedTuple):
    """The results of a forward pass."""

    logits: tf.Tensor
    """float32 [batch, classes]."""
    costs: list[tf.Tensor]
    """Costs that the network adds to the loss: scalars, and activity penalties per example."""


class Passes:
    """The passes of an `AdversarialModel` through its network.

    Args:
        model: with `network`, `objective` and `step_options`; the optimizer may be set later.
        branches: number of equal parts of a batch that are attacked in parallel, if the network
            treats each example alone at inference, but not in training.

    Attributes:
        model: the model.
        pure: see `is_pure`.
        inference: from images to float32 logits [batch, classes] in inference mode.
        attacked: likewise, in the mode that the training attack uses. Both are always the same
            objects, as CleverHans traces and keeps a graph per callable.
    """

    def __init__(self, model: Any, branches: int = 1) -> None:
        self.model = model
        self._network: keras.Model = model.network
        self.pure = is_pure(self._network)
        network = self._network
        self.inference = self._as_float32(lambda inputs: network(inputs, training=False))
        self.attacked = self.inference
        self._branches = 1
        if model.step_options.bn_attack == "training" and not self.pure:
            self.attacked = self._as_float32(self._with_batch_statistics)
        elif not self.pure and _has_only(network, _PURE_AT_INFERENCE):
            self._branches = branches
            if can_fold(network):
                self.attacked = self._as_float32(Folded(network))
        self._both = with_activations(network)[0] if model.objective.activity_l1 else None

    def training(self, batch: Batch, *, moves: bool = True) -> Pass:
        """A pass in training mode, which moves running averages or leaves them."""
        with held(self._network, not moves):
            if self._both is None:
                logits = tf.cast(self._network(batch.images, training=True), tf.float32)
                return Pass(logits, added_losses.of_last_call(self._network))
            outputs = self._both(batch.images, training=True)
        logits, *activations = (tf.cast(each, tf.float32) for each in outputs)
        costs = self.model.objective.activity(activations)
        costs = costs if batch.weights is None else batch.weights * costs
        return Pass(logits, [*added_losses.of_last_call(self._both), costs])

    def needs_clean(self) -> bool:
        """Whether the clean pass in training mode counts beside the loss.

        It does for the compiled metrics, and if layers may change their state in it.
        """
        state = not self.pure and self.moves(adversarial=False)
        return bool(self.model.compiled_metrics.metrics) or state

    def moves(self, *, adversarial: bool) -> bool:
        """Whether a pass of clean or of adversarial examples moves running averages."""
        other = "clean" if adversarial else "adversarial"
        return self.model.step_options.bn_statistics != other

    def ascend(
        self,
        attack: Ascent,
        images: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None,
        at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The adversarial examples of the training attack; see `Ascent.ascend`."""
        given, size, count = (images, labels, noise, at_x), images.shape[0], self._branches
        if not size or size % count:
            count = 1
        cut = [[None] * count if value is None else tf.split(value, count) for value in given]
        found = [attack.ascend(self.attacked, *part) for part in zip(*cut, strict=True)]
        return tf.concat(found, 0) if count > 1 else found[0]

    def testing(self, images: tf.Tensor) -> Pass:
        """A pass in inference mode."""
        logits = self.inference(images)
        return Pass(logits, added_losses.of_last_call(self._network))

    def losses(self, batch: Batch, losses: tf.Tensor, *passes: Pass) -> tf.Tensor:
        """Losses per example with sample weights, and with the mean costs of the passes."""
        if batch.weights is not None:
            losses *= batch.weights
        for cost in (cost for each in passes for cost in each.costs):
            losses += cost / len(passes)
        return losses

    def scaled(self, losses: tf.Tensor) -> tf.Tensor:
        """Scales losses for float16, if the optimizer does."""
        scale = getattr(self.model.optimizer, "get_scaled_loss", None)
        return scale(losses) if scale else losses

    def of_weights(self, tape: tf.GradientTape, scaled: tf.Tensor) -> list[tf.Tensor]:
        """The gradient of each trainable variable, from the tape of `scaled` losses."""
        variables = self.model.trainable_variables
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        unscaled = getattr(self.model.optimizer, "get_unscaled_gradients", None)
        return unscaled(gradients) if unscaled else gradients

    def _as_float32(self, logits: Logits) -> Logits:
        half = is_half(self._network)
        if half or self._network.output.dtype != tf.float32:
            return Float32(logits, half)
        return logits

    def _with_batch_statistics(self, images: tf.Tensor) -> tf.Tensor:
        with held(self._network):
            return self._network(images, training=True)
