"""Dynamic sparsity at the ends of batches, by a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import tensorflow as tf

from robust_sparse_tf.callbacks.keeper import MaskKeeper
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import shown
from robust_sparse_tf.sparsity import Dynamic, RigL, change_weight, layer_states, prunable_weights
from robust_sparse_tf.sparsity.batches import Batches, check_batches
from robust_sparse_tf.sparsity.checks import is_measure

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Regrow(MaskKeeper):
    """Applies a dynamic method at the ends of batches, for models with any train step.

    For models wrapped by `sparsify` or by tfmot's `prune_low_magnitude`, whose own schedule is then
    disabled. Unlike in `sparsify`, updates come after the optimizer's step. A method that grows by
    gradients computes them on one extra batch of `data`; a memory of gradients is not supported.

    Args:
        method: SET, RigL or another dynamic method without a memory.
        data: batches (x, y); each update that needs gradients takes the next one.
        loss: from (y, outputs) to a scalar or to losses per example; by default the compiled loss.

    Raises:
        InputError: if the method is not dynamic, or keeps a memory of gradients; for RigL without
            data, or data without a loss.
    """

    def __init__(
        self, method: Dynamic, data: Batches | None = None, loss: Loss | None = None
    ) -> None:
        super().__init__()
        name = type(method).__name__
        if not isinstance(method, Dynamic):
            raise InputError(f"method {name}: must be a dynamic one, such as SET or RigL")
        if method.remembers or method.feedbacks:
            raise InputError(f"method {name}: needs the step of sparsify's own models")
        check_batches(data)
        if loss is not None and not is_measure(loss):
            raise InputError(f"loss={shown(loss)}: must be a function of (y, outputs)")
        if data is None and isinstance(method, RigL):
            raise InputError(f"method {name}: needs data, as it grows by gradients")
        self._method, self._data, self._loss = method, data, loss
        self._batches: Iterator[tuple[tf.Tensor, tf.Tensor]] = iter(())

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Draws the first masks, if the model is dense."""
        super().on_train_begin(logs)
        if self._data is not None and self._loss is None:
            if not self.model.loss:
                raise InputError("loss: must be given, as the model was compiled without one")
            # A new container, as the compiled one would update the metrics.
            self._loss = type(self.model.compiled_loss)(self.model.loss)
        self._method.start(self._network())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Changes the masks if an update is due."""
        steps = self.steps()
        if not bool(self._method.is_due(steps)):
            return
        entries = prunable_weights(self._network())
        layers = layer_states(self._network(), self._gradients())
        changes = self._method.change(layers, steps)
        strategy = self.model.distribute_strategy
        with strategy.scope():
            for entry, layer, change in zip(entries, layers, changes, strict=True):
                values = self._method.initial(layer, steps)
                change_weight(strategy, self.model.optimizer, entry, change, values)

    def _gradients(self) -> dict[str, tf.Tensor]:
        """Gradients of the weights by name, on the next batch; empty without data."""
        if self._data is None or self._loss is None:
            return {}
        x, y = self._next_batch(self._data)
        entries = self.entries()
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(self._loss(y, self._network()(x, training=False)))
        gradients = tape.gradient(value, [entry.weight for entry in entries])
        return {e.name: tf.convert_to_tensor(g) for e, g in zip(entries, gradients, strict=True)}

    def _next_batch(self, data: Batches) -> tuple[tf.Tensor, tf.Tensor]:
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(data)
            batch = next(self._batches, None)
        if batch is None:  # StopIteration would silently end `fit`
            raise InputError("data: must have batches in each iteration over it")
        return tf.nest.map_structure(tf.convert_to_tensor, batch)
