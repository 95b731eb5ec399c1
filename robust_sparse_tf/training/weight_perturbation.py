"""Adversarial weight perturbation."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity.wrapper import is_kernel, masked_weights


class WeightPerturbation:
    """Moves kernels uphill, and back: w + gamma |w| g / |g| for each kernel w of gradient g.

    Norms are l2, over the whole kernel; pruned weights stay 0. "Adversarial Weight Perturbation
    Helps Robust Generalization" (Wu et al., 2020), equations 8 and 9, with one ascent.

    Args:
        network: the network that trains, with masks or not.
        variables: its trainable variables, in the order of gradients.
        gamma: size of the perturbation relative to the kernel's norm.
        start: step of the first perturbation.
    """

    def __init__(
        self, network: keras.Model, variables: Sequence[tf.Variable], gamma: float, start: int
    ) -> None:
        self._gamma, self._start = gamma, start
        masks = {entry.weight.ref(): entry.mask for entry in masked_weights(network)}
        self._kernels = [
            (place, variable, masks.get(variable.ref()))
            for place, variable in enumerate(variables)
            if is_kernel(variable)
        ]

    def add(self, parts: Sequence[Sequence[tf.Tensor]], step: tf.Tensor) -> list[tf.Tensor]:
        """Adds the perturbation, the same on all replicas; returns the kernels as they were.

        Args:
            parts: lists of gradients, one per variable; the gradient is their sum over parts and
                replicas.
            step: int64 scalar, the number of steps before this one.
        """
        places = [place for place, *_ in self._kernels]
        gradients = [tf.add_n([part[place] for part in parts]) for place in places]
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gamma = tf.where(step >= self._start, self._gamma, 0.0)
        before = [tf.identity(variable) for _, variable, _ in self._kernels]
        moved = []
        for weight, gradient, (_, _, mask) in zip(before, gradients, self._kernels, strict=True):
            uphill = gradient if mask is None else gradient * mask
            size = tf.cast(gamma, weight.dtype) * tf.norm(weight)
            moved.append(weight + tf.math.divide_no_nan(size * uphill, tf.norm(uphill)))
        self._assign(moved)
        return before

    def remove(self, before: Sequence[tf.Tensor]) -> None:
        """Restores the kernels that `add` returned, bit for bit."""
        self._assign(before)

    def _assign(self, values: Sequence[tf.Tensor]) -> None:
        def assign(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> None:
            for (_, variable, _), value in zip(self._kernels, values, strict=True):
                strategy.extended.update(variable, lambda own, new: own.assign(new), args=(value,))

        tf.distribute.get_replica_context().merge_call(assign, args=(list(values),))
