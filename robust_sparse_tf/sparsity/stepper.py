"""The optimizer's step of a sparse model: masks kept, and changed when their method says so."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity.methods.base import Change, Scheduled, layer_states
from robust_sparse_tf.sparsity.slots import slots_of
from robust_sparse_tf.sparsity.wrapper import MaskedWeight, masked_weights

Gradients = Sequence[tf.Tensor]


class Stepper:
    """Takes gradients and makes a step, on one device or in step on several.

    Gradients are masked before the optimizer, and weights stored masked after it. When masks are
    due, they change: dropped weights become zero, grown weights start where the method says, and
    both have clear slots.

    Args:
        network: dense, or from `sparsify`.
        optimizer: built for `variables`.
        variables: what is trained, the network's weights among it.
        jit_compile: whether XLA compiles the optimizer's part; only on one device.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: Any,
        variables: Sequence[tf.Variable],
        *,
        jit_compile: bool = False,
    ) -> None:
        self._network, self._optimizer, self._variables = network, optimizer, list(variables)
        self._method = getattr(network, "method", None)
        self._apply = (
            tf.function(self._optimize, jit_compile=True) if jit_compile else self._optimize
        )

    def __call__(self, parts: Sequence[Gradients], size: tf.Tensor) -> None:
        """Makes a step, in replica context.

        Args:
            parts: lists of gradients, one gradient a variable; their sum over parts and replicas,
                divided by `size`, is the gradient.
            size: float scalar, equal on all replicas.
        """
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            summed = [tf.add_n(list(gradients)) for gradients in zip(*parts, strict=True)]
            parts = [context.all_reduce(tf.distribute.ReduceOp.SUM, summed)]
        context.merge_call(self._merged, args=(parts, size))

    def _merged(self, strategy: tf.distribute.Strategy, parts: Any, size: Any) -> None:
        """The step in cross-replica context, where conditions may hold assignments."""

        def optimize() -> None:
            strategy.run(self._apply, args=(parts, size))

        method, network = self._method, self._network
        if not isinstance(method, Scheduled):
            optimize()
            if method is not None:
                network.step.assign_add(1)
            return
        steps = network.step + (0 if method.replaces_step else 1)
        if method.remembers:
            self._remember(method, strategy, parts, size, steps)

        def change() -> None:
            if method.remembers:
                gradients = self._remembered()
            else:
                gradients = self._gradients(strategy, parts, size)
            self._change(method, strategy, gradients, steps)

        if method.replaces_step:
            _either(method.is_due(steps), change, optimize)
        else:
            optimize()
            _either(method.is_due(steps), change, lambda: None)
        network.step.assign_add(1)

    def _optimize(self, parts: Sequence[Gradients], size: tf.Tensor) -> None:
        """In each replica: averages, masks, takes the optimizer's step and stores masked."""
        masks = {entry.weight.ref(): entry.mask for entry in self._entries()}
        gradients = []
        for variable, *shares in zip(self._variables, *parts, strict=True):
            gradient = tf.add_n([tf.convert_to_tensor(share) for share in shares])
            gradient /= tf.cast(size, gradient.dtype)
            mask = masks.get(variable.ref())
            gradients.append(gradient if mask is None else gradient * mask)
        pairs = zip(gradients, self._variables, strict=True)
        self._optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)

    def _entries(self) -> list[MaskedWeight]:
        return list(masked_weights(self._network))

    def _gradients(
        self, strategy: tf.distribute.Strategy, parts: Any, size: Any
    ) -> dict[str, tf.Tensor]:
        """The dense gradient of each prunable weight, without its regulariser's part, by name.

        Zero for weights that are not trained.
        """
        places = {variable.ref(): number for number, variable in enumerate(self._variables)}
        gradients = {}
        for entry in self._entries():
            place = places.get(entry.weight.ref())
            if place is None:
                gradients[entry.name] = tf.zeros(entry.mask.shape)
                continue
            shares = [tf.convert_to_tensor(_first(strategy, part[place])) for part in parts]
            gradient = tf.cast(tf.add_n(shares), tf.float32) / _first(strategy, size)
            gradient -= tf.cast(_penalty_gradient(entry), tf.float32)
            # Where float16 overflows the optimizer skips the step; no memory is to keep it either.
            gradients[entry.name] = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
        return gradients

    def _remember(
        self,
        method: Scheduled,
        strategy: tf.distribute.Strategy,
        parts: Any,
        size: Any,
        step: tf.Tensor,
    ) -> None:
        gradients = self._gradients(strategy, parts, size)
        for entry, memory in zip(self._entries(), self._network.memory, strict=True):
            value = method.remember(memory.read_value(), gradients[entry.name], step)
            _assign(strategy, memory, value)

    def _remembered(self) -> dict[str, tf.Tensor]:
        memories = zip(self._entries(), self._network.memory, strict=True)
        return {entry.name: memory.read_value() for entry, memory in memories}

    def _change(
        self,
        method: Scheduled,
        strategy: tf.distribute.Strategy,
        gradients: dict[str, tf.Tensor],
        step: tf.Tensor,
    ) -> None:
        """Changes the masks, the weights and their slots alike on all replicas."""
        layers = layer_states(self._network, gradients)
        told = self._network.feedback
        feedback = None if told is None else told.read_value()
        changes = method.change(layers, step, feedback)
        trained = {variable.ref() for variable in self._variables}
        numbers = []
        for entry, layer, change in zip(self._entries(), layers, changes, strict=True):
            if entry.weight.ref() not in trained:
                numbers.append(tf.constant(0, tf.int64))
                continue
            numbers.append(tf.math.count_nonzero(layer.active != (change.kept | change.grown)))
            values = method.initial(layer, step)
            change_weight(strategy, self._optimizer, entry, change, values)
            if method.grows:
                seen = self._network.ever_active[layer.place]
                _assign(strategy, seen, seen.read_value() | (entry.mask.read_value() > 0))
        _assign(strategy, self._network.changed, tf.stack(numbers))


def change_weight(
    strategy: tf.distribute.Strategy,
    optimizer: Any,
    entry: MaskedWeight,
    change: Change,
    values: tf.Tensor | None = None,
) -> None:
    """Changes a mask, its weight and the weight's slots, in cross-replica context.

    Args:
        strategy: whose replicas are all changed alike.
        optimizer: built; its slots of dropped and of grown weights are cleared.
        entry: the variables.
        change: from a method.
        values: where grown weights start, as a matrix; None for zeros.
    """
    kept, mask = entry.from_matrix(change.kept), entry.from_matrix(change.kept | change.grown)
    whole = entry.to_matrix(tf.convert_to_tensor(entry.weight))
    weight = tf.where(change.kept, whole, 0)
    if values is not None:
        weight = tf.where(change.grown, tf.cast(values, weight.dtype), weight)
    _assign(strategy, entry.mask, tf.cast(mask, entry.mask.dtype))
    _assign(strategy, entry.weight, entry.from_matrix(weight))
    for slot, start in slots_of(optimizer, entry.weight):
        value = slot.read_value()
        _assign(strategy, slot, tf.where(kept, value, tf.cast(start, value.dtype)))


def _first(strategy: tf.distribute.Strategy, value: Any) -> Any:
    """A value that is equal on all replicas."""
    return strategy.experimental_local_results(value)[0]


def _assign(strategy: tf.distribute.Strategy, variable: tf.Variable, value: tf.Tensor) -> None:
    strategy.extended.update(variable, lambda own, new: own.assign(new), args=(value,))


def _either(condition: tf.Tensor, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """Does one or the other; `then` is rare and of many operations.

    As a function it is one node to pass by, where all its operations would be each time. Where
    the value is known there is nothing to pass by, and a function would be traced each time.
    """
    if tf.executing_eagerly():
        (then if condition else otherwise)()
        return

    def branch(act: Callable[[], None]) -> Callable[[], tf.Tensor]:
        def run() -> tf.Tensor:
            act()
            return tf.constant(0)

        return run

    rare = tf.function(branch(then), experimental_attributes={"_noinline": True})
    tf.cond(condition, rare, branch(otherwise))


def _penalty_gradient(entry: MaskedWeight) -> tf.Tensor:
    name = entry.attribute.removesuffix("_kernel") + "_regularizer"
    regularizer = getattr(entry.layer, name, None)
    if regularizer is None:
        return tf.zeros(entry.mask.shape)
    weight = tf.convert_to_tensor(entry.weight)
    with tf.GradientTape() as tape:
        tape.watch(weight)
        penalty = regularizer(weight)
    return tape.gradient(penalty, weight)
