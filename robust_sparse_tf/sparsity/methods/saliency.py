"""The base of methods that score weights at initialisation by what they do to the loss."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
from collections.abc import Iterator

from etils import epy

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity import distribution
from robust_sparse_tf.sparsity.methods.base import Batches, Targeted, layer_states, set_masks

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper


@dataclasses.dataclass(frozen=True)
class Saliency(Targeted, abc.ABC):
    """Keeps the weights of the largest scores, by default in one ranking of all layers."""

    _: dataclasses.KW_ONLY
    distribution: str = option(
        "global", "how density is spread", choices=(*distribution.NAMES, "global")
    )

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        """See `Method.start`.

        Raises:
            TrainingError: when a score is not finite.
        """
        self.prune(model, data)

    def prune(self, model: keras.Model, data: Batches | None = None, progress: float = 1.0) -> None:
        """Scores the weights of a wrapped model and takes a share of those to take away."""
        layers = layer_states(model)
        entries = list(wrapper.masked_weights(model))
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
        masks = self.keep(layers, active, progress)
        set_masks(model, [m & layer.active for m, layer in zip(masks, layers, strict=True)])

    @abc.abstractmethod
    def scores(self, model: keras.Model, data: Batches | None) -> list[tf.Tensor]:
        """The score of each weight: float32, shaped as the weights. No variable changes."""


@dataclasses.dataclass(frozen=True)
class LossSaliency(Saliency):
    """Scores from the cross-entropy of batches of (images, labels)."""

    _: dataclasses.KW_ONLY
    score_batches: int = option(
        1, "batches over which the scores are added up", unit="batches", minimum=1
    )

    def scores(self, model: keras.Model, data: Batches | None) -> list[tf.Tensor]:
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
        with unchanged(model):
            return self.batch_scores(model, batches)

    @abc.abstractmethod
    def batch_scores(
        self, model: keras.Model, batches: list[tuple[tf.Tensor, tf.Tensor]]
    ) -> list[tf.Tensor]:
        """The scores from given batches; moving statistics may change."""


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    """Gives all variables of a model their values back in the end."""
    variables = [v for v in model.variables if v.dtype != tf.resource]
    values = [v.numpy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits [batch, classes], for labels [batch] or one-hot."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == logits.shape.rank:
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)
