"""A tf_keras model whose own train step keeps and changes its masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import slots
from robust_sparse_tf.sparsity.methods.base import Batches, Method
from robust_sparse_tf.sparsity.methods.dense import Dense
from robust_sparse_tf.sparsity.stepper import Stepper
from robust_sparse_tf.sparsity.wrapper import masked_weights, wrap


@keras.saving.register_keras_serializable("robust_sparse_tf")
class SparseModel(keras.Model):
    """A functional model with a mask on each prunable weight, which its method may change.

    `compile`, `fit`, `save` and the rest are tf_keras' own. `step` counts optimizer steps,
    `changed` holds how many places of each mask the last update changed, `ever_active` (of methods
    that grow) where a weight has ever been, `memory` what a method remembers of gradients, and
    `feedback` what callbacks tell it.

    Args:
        inputs: the inputs of a wrapped model.
        outputs: its outputs.
        method: what changes the masks in training.
        name: as of any model.
    """

    def __init__(
        self, inputs: Any, outputs: Any, method: Method | None = None, name: str | None = None
    ) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.method = method or Dense()
        shapes = [entry.mask.shape for entry in masked_weights(self)]
        self.step = self._variable("sparse_step", [], tf.int64)
        self.changed = self._variable("changed", [len(shapes)], tf.int64)
        self.feedback = None
        if self.method.feedbacks:
            self.feedback = self._variable("feedback", [self.method.feedbacks], tf.float32)
        self.ever_active = [
            self._variable(f"ever_active_{number}", shape, tf.bool)
            for number, shape in enumerate(shapes if self.method.grows else [])
        ]
        self.memory = [
            self._variable(f"memory_{number}", shape, tf.float32)
            for number, shape in enumerate(shapes if self.method.remembers else [])
        ]

    def start(self, data: Batches | None = None) -> None:
        """Lets the method choose the first masks."""
        self.method.start(self, data)
        for seen, entry in zip(self.ever_active, masked_weights(self), strict=False):
            seen.assign(entry.mask > 0)

    def tell(self, losses: list[float], gaps: list[float]) -> None:
        """Tells the method of the evaluations so far; nothing where it takes no feedback.

        Args:
            losses: see `Method.feedback_from`.
            gaps: likewise.
        """
        if self.feedback is not None:
            self.feedback.assign(self.method.feedback_from(losses, gaps))

    def compile(self, optimizer: Any = "rmsprop", *args: Any, **kwargs: Any) -> None:
        """As `tf_keras.Model.compile`."""
        super().compile(optimizer, *args, **kwargs)
        with self.distribute_strategy.scope():
            slots.build(self.optimizer, self.trainable_variables)
        self._stepper = Stepper(self, self.optimizer, self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As `tf_keras.Model.compile_from_config`, which leaves models with their own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """tf_keras' train step, its optimizer's part left to `Stepper`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        scales = hasattr(self.optimizer, "get_scaled_loss")
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, sample_weight)
            if scales:
                loss = self.optimizer.get_scaled_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        if scales:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self._stepper([gradients], tf.constant(1.0))
        return self.compute_metrics(x, y, outputs, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The functional model's configuration, and the method's."""
        method = {"class_name": type(self.method).__name__, **dataclasses.asdict(self.method)}
        # tf_keras gives the layers only of models whose constructor is its own.
        network = keras.Model(self.input, self.output, name=self.name)
        network.use_legacy_config = getattr(self, "use_legacy_config", False)  # set for .h5
        return {"network": network.get_config(), "method": method}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SparseModel:
        """The inverse of `get_config`; the masks come with the weights."""
        network = keras.Model.from_config(config["network"], custom_objects)
        return cls(network.input, network.output, _method(config["method"]), network.name)

    def _variable(self, name: str, shape: Any, dtype: tf.DType) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


# Files of .h5 name a model's class without its package.
keras.saving.get_custom_objects()[SparseModel.__name__] = SparseModel


def sparsify(
    model: keras.Model, method: Method | None = None, *, data: Batches | None = None
) -> SparseModel:
    """A model with a mask on each prunable weight, made and kept sparse by a method.

    The layers are taken over from the given model, which shares its weights from then on; one that
    tfmot's `prune_low_magnitude` has wrapped keeps its masks to begin with. Layers that cannot be
    pruned stay dense (`dense_layers` lists them).

    Args:
        model: built Sequential or functional tf_keras model.
        method: by default no weight goes.
        data: batches (images, labels), for methods that look at gradients first.

    Raises:
        InputError: see `wrap`, and the methods.
    """
    wrapped = wrap(model)
    sparse = SparseModel(wrapped.input, wrapped.output, method, model.name)
    sparse.start(data)
    return sparse


def _method(config: dict[str, Any]) -> Method:
    config = dict(config)
    name = config.pop("class_name")
    classes = {found.__name__: found for found in _subclasses(Method)}
    if name not in classes:
        raise InputError(f"method {name}: is not known; import its module before loading")
    return classes[name](**config)


def _subclasses(cls: type[Method]) -> Iterable[type[Method]]:
    for found in cls.__subclasses__():
        yield found
        yield from _subclasses(found)
