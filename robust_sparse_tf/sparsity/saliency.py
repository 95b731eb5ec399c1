"""The base of methods that score weights at initialisation by what they do to the loss."""

import abc
import dataclasses
import itertools
from collections.abc import Iterable

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity import distribution
from robust_sparse_tf.sparsity.updater import Targeted, layer_states, set_masks
from robust_sparse_tf.sparsity.wrapper import masked_weights


@dataclasses.dataclass(frozen=True)
class Saliency(Targeted):
    """Keeps the weights of the largest scores, by default in one ranking of all layers."""

    _: dataclasses.KW_ONLY
    distribution: str = option(
        "global", "how density is spread", choices=(*distribution.NAMES, "global")
    )

    def start(self, model: keras.Model, data: Iterable | None = None) -> None:
        """See `Method.start`.

        Raises:
            TrainingError: when a score is not finite.
        """
        layers = layer_states(model)
        entries = list(masked_weights(model))
        scores = []
        for entry, score in zip(entries, self.scores(model, data), strict=True):
            if not bool(tf.reduce_all(tf.math.is_finite(score))):
                raise TrainingError(
                    f"{type(self).__name__}: scores of layer {entry.name} are not finite"
                )
            scores.append(entry.to_matrix(score))
        least = tf.float32.min
        active = [
            tf.where(layer.active, score, least)
            for layer, score in zip(layers, scores, strict=True)
        ]
        masks = self.keep(layers, active)
        set_masks(model, [m & layer.active for m, layer in zip(masks, layers, strict=True)])

    @abc.abstractmethod
    def scores(self, model: keras.Model, data: Iterable | None) -> list[tf.Tensor]:
        """The score of each weight: float32, shaped as the weights, which stay as they are."""


@dataclasses.dataclass(frozen=True)
class LossSaliency(Saliency):
    """Scores from the cross-entropy of batches of (images, labels)."""

    _: dataclasses.KW_ONLY
    score_batches: int = option(
        1, "batches over which the scores are added up", unit="batches", minimum=1
    )

    def scores(self, model: keras.Model, data: Iterable | None) -> list[tf.Tensor]:
        """See `Saliency.scores`.

        Raises:
            InputError: without data, or where there are fewer batches than asked for.
        """
        name = type(self).__name__
        if data is None:
            raise InputError(
                f"data=None: {name} looks at gradients; must be batches of (images, labels), as in "
                f"sparsify(model, {name}(), data=train)"
            )
        batches = list(itertools.islice(iter(data), self.score_batches))
        if len(batches) < self.score_batches:
            raise InputError(f"data of {len(batches)} batches: must be {self.score_batches}")
        return self.batch_scores(model, batches)

    @abc.abstractmethod
    def batch_scores(self, model: keras.Model, batches: list[tuple]) -> list[tf.Tensor]:
        """The scores from given batches."""


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits [batch, classes], for labels [batch] or one-hot."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == logits.shape.rank:
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)
