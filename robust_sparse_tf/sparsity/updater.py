"""The base of all methods that take weights away."""

import abc

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity.wrapper import MaskedWeight, masked_weights


class Pruner(abc.ABC):
    """Scores the weights of a model and keeps, in each layer, a stated number of the best.

    A method gives `scores` and `counts`. Weights pruned earlier never come back.
    """

    @abc.abstractmethod
    def scores(self, entry: MaskedWeight) -> tf.Tensor:
        """How much each weight is worth: float32 of the weight's shape, at least 0."""

    @abc.abstractmethod
    def counts(self, active: list[int], sizes: list[int]) -> list[int]:
        """The number of weights to keep in each layer, of those active in it; its size beside."""

    def prune(self, model: keras.Model) -> None:
        """Prunes a wrapped model: assigns the masks and stores the weights masked."""
        entries = list(masked_weights(model))
        active = [int(tf.math.count_nonzero(entry.mask)) for entry in entries]
        sizes = [entry.mask.shape.num_elements() for entry in entries]
        for entry, keep in zip(entries, self.counts(active, sizes), strict=True):
            candidates = tf.where(entry.mask > 0, self.scores(entry), -1.0)
            entry.mask.assign(keep_largest(candidates, keep))
            entry.weight.assign(entry.weight * entry.mask)


def keep_largest(scores: tf.Tensor, count: int) -> tf.Tensor:
    """A mask of the `count` largest scores: float32 of the same shape, ones and zeros.

    Chosen by index, so that ties never change the count; of equal scores the first ones stay.
    """
    flat = tf.reshape(scores, [-1])
    kept = tf.math.top_k(flat, k=count).indices
    mask = tf.scatter_nd(kept[:, None], tf.ones([count]), tf.shape(flat))
    return tf.reshape(mask, tf.shape(scores))
