"""The optimizer's step of a sparse model, which keeps masks and changes them when due."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.masked_model import sparse_models
from robust_sparse_tf.sparsity.methods.base import (
    Change,
    Scheduled,
    layer_states,
    tell_frozen,
)
from robust_sparse_tf.sparsity.slots import slots_of
from robust_sparse_tf.sparsity.wrapper import (
    MaskedWeight,
    is_kernel,
    masked_weights,
    prunable_weights,
)

Gradients = Sequence[tf.Tensor]


class Stepper:
    """Takes gradients and makes a step, on one device or synchronously on several.

    Gradients are masked before the optimizer; the weights' constraints keep the masks after it.
    When an update of masks is due, dropped weights become zero, grown weights get the method's
    initial values, and the slots of both are reset.

    Args:
        network: dense, from `sparsify`, or containing a model from `sparsify`.
        optimizer: built for `variables`.
        variables: the variables to train, the network's weights included.
        jit_compile: whether XLA compiles the optimizer's part; on one device only.
        weight_l1: weight of the l1 norm of all kernels, whose gradient reaches only the optimizer.

    Raises:
        InputError: if the network contains several sparse models and a method changes masks, or for
            tf_keras' Nadam on several replicas.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: Any,
        variables: Sequence[tf.Variable],
        *,
        jit_compile: bool = False,
        weight_l1: float = 0.0,
    ) -> None:
        self._network, self._optimizer, self._variables = network, optimizer, list(variables)
        _refuse_nadam(optimizer, network.distribute_strategy)
        self._sparse = find_sparse_model(network)
        self._method = getattr(self._sparse, "method", None)
        if isinstance(self._method, Scheduled) and prunable_weights(self._sparse):
            tell_frozen(self._sparse, self._method)
        self._jit_compile = jit_compile
        self.penalize(weight_l1)

    def penalize(self, weight_l1: float) -> None:
        """Sets the weight of the l1 norm; a step that was traced before must be traced again."""
        self._weight_l1 = weight_l1
        compiles = self._jit_compile
        self._apply = tf.function(self._optimize, jit_compile=True) if compiles else self._optimize

    def __call__(self, parts: Sequence[Gradients], size: tf.Tensor) -> None:
        """Makes a step, in replica context.

        Args:
            parts: lists of gradients, one per variable; the gradient is their sum over parts and
                replicas, divided by `size`.
            size: float scalar, equal on all replicas.
        """
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            summed = [tf.add_n(list(gradients)) for gradients in zip(*parts, strict=True)]
            parts = [context.all_reduce(tf.distribute.ReduceOp.SUM, summed)]
        context.merge_call(self._merged, args=(parts, size))

    def _merged(self, strategy: tf.distribute.Strategy, parts: Any, size: Any) -> None:
        """The step in cross-replica context, where conditions may contain assignments."""

        def optimize() -> None:
            strategy.run(self._apply, args=(parts, size))

        method, sparse = self._method, self._sparse
        if sparse is None:
            optimize()
            return
        with sparse.own_step():
            if isinstance(method, Scheduled) and prunable_weights(sparse):
                self._scheduled(method, strategy, parts, size, optimize)
            else:
                optimize()
        sparse.step.assign_add(1)

    def _scheduled(
        self,
        method: Scheduled,
        strategy: tf.distribute.Strategy,
        parts: Any,
        size: Any,
        optimize: Callable[[], None],
    ) -> None:
        """The optimizer's step, and the update of masks if it is due."""
        steps = self._sparse.step + (0 if method.replaces_step else 1)
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

    def _optimize(self, parts: Sequence[Gradients], size: tf.Tensor) -> None:
        """In each replica: averages and masks gradients, and takes the optimizer's step."""
        masks = {entry.weight.ref(): entry.mask for entry in masked_weights(self._network)}
        gradients = []
        for variable, *shares in zip(self._variables, *parts, strict=True):
            gradient = tf.add_n([tf.convert_to_tensor(share) for share in shares])
            gradient /= tf.cast(size, gradient.dtype)
            mask = masks.get(variable.ref())
            gradient = gradient if mask is None else gradient * mask
            if self._weight_l1 and is_kernel(variable):
                gradient += self._weight_l1 * tf.sign(tf.convert_to_tensor(variable))
            gradients.append(gradient)
        pairs = zip(gradients, self._variables, strict=True)
        self._optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)

    def _entries(self) -> list[MaskedWeight]:
        return list(masked_weights(self._sparse))

    def _gradients(
        self, strategy: tf.distribute.Strategy, parts: Any, size: Any
    ) -> dict[str, tf.Tensor]:
        """The dense gradient of each prunable weight by name, without its regulariser's part.

        It is zero for weights that are not trained.
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
            # If float16 overflows, the optimizer skips the step; the memory must skip it, too.
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
        for entry, memory in zip(self._entries(), self._sparse.memory, strict=True):
            value = method.remember(memory.read_value(), gradients[entry.name], step)
            _assign(strategy, memory, value)

    def _remembered(self) -> dict[str, tf.Tensor]:
        memories = zip(self._entries(), self._sparse.memory, strict=True)
        return {entry.name: memory.read_value() for entry, memory in memories}

    def _change(
        self,
        method: Scheduled,
        strategy: tf.distribute.Strategy,
        gradients: dict[str, tf.Tensor],
        step: tf.Tensor,
    ) -> None:
        """Changes masks, weights and slots equally on all replicas."""
        layers = layer_states(self._sparse, gradients)
        told = self._sparse.feedback
        feedback = None if told is None else told.read_value()
        changes = method.change(layers, step, feedback)
        entries = self._entries()
        numbers = [tf.constant(0, tf.int64)] * len(entries)
        for layer, change in zip(layers, changes, strict=True):
            entry, active = entries[layer.place], change.kept | change.grown
            numbers[layer.place] = tf.math.count_nonzero(layer.active != active)
            values = method.initial(layer, step)
            change_weight(strategy, self._optimizer, entry, change, values)
            if method.grows:
                seen = self._sparse.ever_active[layer.place]
                _assign(strategy, seen, seen.read_value() | (entry.mask.read_value() > 0))
        _assign(strategy, self._sparse.changed, tf.stack(numbers))


def _refuse_nadam(optimizer: Any, strategy: tf.distribute.Strategy) -> None:
    """Raises InputError for Nadam on several replicas, where it makes weights NaN."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(inner, keras.optimizers.Nadam) and strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"optimizer={type(inner).__name__}: gives NaN on several replicas; must be another "
            "one, such as optimizers.legacy.Nadam"
        )


def find_sparse_model(network: keras.Model) -> Any:
    """The `SparseModel` that a network is or contains, whose method the step uses; or None.

    Raises:
        InputError: if there are several, and one of their methods changes masks in training.
    """
    found = sparse_models(network)
    scheduled = [model for model in found if isinstance(model.method, Scheduled)]
    if len(found) > 1 and scheduled:
        method = type(scheduled[0].method).__name__
        raise InputError(
            f"model {network.name}: holds {len(found)} sparse models "
            f"({', '.join(model.name for model in found)}); must hold one if {method} changes "
            "masks: sparsify the whole network instead"
        )
    return found[0] if found else None


def change_weight(
    strategy: tf.distribute.Strategy,
    optimizer: Any,
    entry: MaskedWeight,
    change: Change,
    values: tf.Tensor | None = None,
) -> None:
    """Changes a mask, its weight and the weight's slots, in cross-replica context.

    Args:
        strategy: strategy whose replicas are all changed.
        optimizer: built; slots of dropped and grown weights are reset.
        entry: the variables of the weight.
        change: the change from a method.
        values: initial values of grown weights, as a matrix; None for zeros.
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
    """Runs one or the other; `then` is rare and has many operations.

    As a function, `then` is one graph node, which is cheap to skip; inlined, all its operations
    would be scheduled at every step. If the condition's value is known, there is nothing to skip,
    and a function would be retraced at every call.
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
