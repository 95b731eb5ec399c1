"""Base of methods that score weights at initialisation by their effect on the loss."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError, TrainingError, reason
from robust_sparse_tf.options import checked, option
from robust_sparse_tf.sparsity import distribution
from robust_sparse_tf.sparsity.methods.base import (
    Batches,
    Targeted,
    check_batches,
    layer_states,
    set_masks,
    tell_frozen,
)
from robust_sparse_tf.tensors import as_labels, check_types
from robust_sparse_tf.values import check_labels

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.models import heads
    from robust_sparse_tf.sparsity import wrapper


@dataclasses.dataclass(frozen=True)
class Saliency(Targeted, abc.ABC):
    """Keeps the weights with the largest scores, by default in one ranking of all layers."""

    _: dataclasses.KW_ONLY
    distribution: str = option(
        "global",
        "how the density is distributed over the layers",
        choices=(*distribution.NAMES, "global"),
    )

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        """See `Method.start`.

        Raises:
            TrainingError: if a score is not finite.
        """
        self.prune(model, data)

    def prune(self, model: keras.Model, data: Batches | None = None, progress: float = 1.0) -> None:
        """Scores the weights of a wrapped model, and prunes a fraction of those to prune.

        Args:
            model: from `wrap`.
            data: batches (images, labels), for methods that look at gradients.
            progress: the share, in [0, 1].
        """
        check_batches(data)
        progress = checked("progress", progress, float, minimum=0, maximum=1)
        tell_frozen(model, self)
        layers = layer_states(model)
        entries, scores = list(wrapper.masked_weights(model)), []
        found = self.scores(model, data)
        for entry, score in [(entries[layer.place], found[layer.place]) for layer in layers]:
            if not bool(tf.reduce_all(tf.math.is_finite(score))):
                raise TrainingError(
                    f"{type(self).__name__}: scores of layer {entry.name} are not finite"
                )
            scores.append(entry.to_matrix(tf.cast(score, tf.float32)))
        least = tf.float32.min
        active = [
            tf.where(layer.active, score, least)
            for layer, score in zip(layers, scores, strict=True)
        ]
        masks = self.keep(layers, active, progress)
        set_masks(model, [m & layer.active for m, layer in zip(masks, layers, strict=True)])

    @abc.abstractmethod
    def scores(self, model: keras.Model, data: Batches | None) -> list[tf.Tensor]:
        """Returns the score of each weight: float32, shaped as the weights. Changes no variable."""


@dataclasses.dataclass(frozen=True)
class LossSaliency(Saliency):
    """Scores from the loss on batches (images, labels).

    The loss is the one given to `sparsify`, otherwise the one that the model was compiled with,
    otherwise the cross-entropy of logits.
    """

    _: dataclasses.KW_ONLY
    score_batches: int = option(
        1, "number of batches over which the scores are summed", unit="batches", minimum=1
    )

    def scores(self, model: keras.Model, data: Batches | None) -> list[tf.Tensor]:
        """See `Saliency.scores`.

        Raises:
            InputError: without data, or with fewer than `score_batches` batches.
        """
        wrapper.require_masks(model)
        check_batches(data)
        name = type(self).__name__
        if data is None:
            raise InputError(
                f"data=None: {name} needs gradients; must be batches of (images, labels), as in "
                f"sparsify(model, {name}(), data=train)"
            )
        batches = list(itertools.islice(iter(data), self.score_batches))
        if len(batches) < self.score_batches:
            raise InputError(f"data of {len(batches)} batches: must be {self.score_batches}")
        if not all(isinstance(each, tuple | list) and len(each) > 1 for each in batches):
            raise InputError("data: must be batches of (images, labels)")
        # Sample weights are ignored; the papers have none.
        batches = [(x, y) for x, y, *_ in batches]
        with unchanged(model):
            return self.batch_scores(model, batches)

    @abc.abstractmethod
    def batch_scores(
        self, model: keras.Model, batches: list[tuple[tf.Tensor, tf.Tensor]]
    ) -> list[tf.Tensor]:
        """Computes the scores from given batches; moving statistics may change."""


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    """Restores all variables of a model at the end."""
    variables = [v for v in model.variables if v.dtype != tf.resource]
    values = [v.numpy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def outputs(model: keras.Model, x: Any) -> tf.Tensor:
    """The outputs of a model in training mode, in float32."""
    return tf.cast(model(x, training=True), tf.float32)


def is_half(model: keras.Model) -> bool:
    """Whether a layer with a prunable weight computes in half precision."""
    entries = wrapper.masked_weights(model)
    return any(tf.as_dtype(entry.layer.compute_dtype).size < 4 for entry in entries)


def task_loss(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The training loss of a model: from (labels, outputs) of a batch to a scalar.

    Raises:
        InputError: if the model does not return logits, and no loss is known.
    """
    loss = getattr(model, "task_loss", None)
    if loss is None:
        try:
            heads.require_logits(model)
        except InputError as error:
            raise InputError(f"{error}, or give sparsify the loss=") from None
        return cross_entropy

    def mean(labels: Any, found: tf.Tensor) -> tf.Tensor:
        labels = tf.convert_to_tensor(labels)
        if labels.shape.rank == found.shape.rank - 1:  # as tf_keras does in training
            labels = labels[..., None]
        try:
            return tf.reduce_mean(loss(labels, found))
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise InputError(
                f"labels of shape {labels.shape}: do not fit the loss of outputs {found.shape} "
                f"({reason(error)})"
            ) from error

    return mean


def returns_logits(model: keras.Model) -> bool:
    """Whether the loss of a model expects logits."""
    loss = getattr(model, "task_loss", None)
    if loss is None:
        return True
    return hasattr(loss, "get_config") and bool(loss.get_config().get("from_logits"))


def cross_entropy(labels: Any, logits: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits [batch, classes], for labels [batch], [batch, 1] or one-hot.

    Raises:
        InputError: for other labels, or labels that are not classes.
    """
    given = np.asarray(labels)
    if given.shape == logits.shape and given.dtype.kind in "biuf":
        one_hot = tf.constant(given, tf.float32)
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits)
        return tf.reduce_mean(losses)
    numbers = as_labels("labels", labels)
    check_types(logits, numbers)
    check_labels(numbers.numpy(), logits.shape[-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=numbers, logits=logits)
    return tf.reduce_mean(losses)
