"""A tf_keras model whose own train step keeps and changes its masks."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tf_keras.src.engine import functional

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import checked, require, restored, shown, stored
from robust_sparse_tf.sparsity.batches import Batches, check_batches
from robust_sparse_tf.sparsity.checks import (
    check_arrays,
    check_batch,
    check_fitted,
    is_measure,
    with_counts,
)
from robust_sparse_tf.sparsity.constraint import hold
from robust_sparse_tf.sparsity.masked_model import (
    MaskedModel,
    check_config,
    tell_density,
    tell_unfinished,
    tell_unstarted,
)
from robust_sparse_tf.sparsity.methods.base import Method
from robust_sparse_tf.sparsity.methods.dense import Dense
from robust_sparse_tf.sparsity.stepper import Stepper
from robust_sparse_tf.sparsity.wrapper import Choice, masked_weights, store_masked, tell_dense, wrap
from robust_sparse_tf.tensors import as_array
from robust_sparse_tf.values import after, assert_images, one_line


@keras.saving.register_keras_serializable("robust_sparse_tf")
class SparseModel(MaskedModel, keras.Model):
    """A functional model with a mask on each prunable weight; its method may change the masks.

    Masks hold wherever the weights are trained: in this model, as part of another model, or in the
    user's own loop. Methods that change masks in training do so in this model's train step, and in
    that of an `AdversarialModel` around it; a RunWarning says if another step trains the model.

    `compile`, `fit`, `save` and the rest are tf_keras' own. `step` counts optimizer steps;
    `changed` has the number of entries of each mask that the last update changed; `ever_active`
    (for methods that grow) marks weights that were ever active; `memory` is a method's memory of
    gradients; and `feedback` has the values from callbacks.

    Args:
        inputs: the inputs of a wrapped model.
        outputs: its outputs.
        method: the method that changes the masks.
        name: name of the model.
        beside: nodes of layers that no output depends on: losses and metrics of activations.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        method: Method | None = None,
        name: str | None = None,
        beside: Sequence[Any] = (),
    ) -> None:
        if method is not None:
            require("method", method, Method)
        name = None if name is None else checked("name", name, str)
        with one_line():
            super().__init__(inputs=inputs, outputs=outputs, name=name)
        if beside:
            self._insert_layers([node.layer for node in beside], list(beside))
        self.method = method or Dense()
        self._in_own_step = self._told_of_step = self._told_of_masks = False
        self._is_for_hdf5 = False
        for entry in masked_weights(self):
            hold(entry.weight, entry.mask).on_update = self._on_update
        shapes = [entry.mask.shape for entry in masked_weights(self)]
        self.task_loss: Any = None  # for methods that need gradients, if known
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
        """Lets the method choose the first masks; a RunWarning says if it misses its density."""
        check_batches(data)
        self.method.start(self, data)
        tell_density(self)
        for seen, entry in zip(self.ever_active, masked_weights(self), strict=False):
            seen.assign(entry.mask > 0)

    def tell(self, losses: list[float], gaps: list[float]) -> None:
        """Passes the evaluations so far to the method, if it uses feedback.

        Args:
            losses: see `Method.feedback_from`.
            gaps: see `Method.feedback_from`.

        Raises:
            InputError: for what are no lists of numbers.
        """
        for argument, values in (("losses", losses), ("gaps", gaps)):
            if as_array(argument, values).ndim != 1:
                raise InputError(f"{argument}={shown(values)}: must be a list of numbers")
        if self.feedback is not None:
            self.feedback.assign(self.method.feedback_from(losses, gaps))

    @contextlib.contextmanager
    def own_step(self) -> Iterator[None]:
        """A context in which a step that lets the method change masks is traced or run."""
        if not self._told_of_masks:
            self._told_of_masks = True
            with tf.init_scope():
                tell_unstarted(self)
        self._in_own_step = True
        try:
            yield
        finally:
            self._in_own_step = False

    def _on_update(self) -> None:
        """Called when an optimizer updates a masked weight; warns once if masks will not change."""
        if self._in_own_step or self._told_of_step:
            return
        with tf.init_scope():
            step = int(tf.convert_to_tensor(self.step))
        self._told_of_step = True
        if self.method.is_unfinished(step):
            method = type(self.method).__name__
            warnings.warn(
                f"model {self.name}: is trained by another step than its own, so that {method} "
                "cannot change masks. Sparsify the whole network, or train it by fit or an "
                "AdversarialModel",
                RunWarning,
                stacklevel=2,
            )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model.compile`."""
        super().compile(*args, **kwargs)
        self._stepper = Stepper(self, self.optimizer, self.trainable_variables)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """See `tf_keras.Model.fit`.

        Raises:
            InputError: for inputs that are not finite numbers (arrays are checked before training
                begins, other data batch by batch), and for other invalid arguments.
        """
        with one_line():
            return super().fit(**self._arguments(keras.Model.fit, x, *args, **kwargs))

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.train_on_batch`; raises `InputError` like `fit`."""
        with one_line():
            given = self._arguments(keras.Model.train_on_batch, *args, **kwargs)
            check_batch(given)
            return super().train_on_batch(**given)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.test_on_batch`; raises `InputError` like `fit`."""
        with one_line():
            given = self._arguments(keras.Model.test_on_batch, *args, **kwargs)
            check_batch(given)
            return super().test_on_batch(**given)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.evaluate`; raises `InputError` like `fit`."""
        if kwargs.get("_use_cached_eval_dataset"):  # `fit` calls it, and has checked it
            return super().evaluate(*args, **kwargs)
        with one_line():
            return super().evaluate(**self._arguments(keras.Model.evaluate, *args, **kwargs))

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.predict`; raises `InputError` for inputs like `fit`."""
        with one_line():
            return super().predict(**self._arguments(keras.Model.predict, *args, **kwargs))

    def _arguments(self, method: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments of one of tf_keras' methods by name, checked."""
        signature = inspect.signature(method)
        given = with_counts(signature.bind(self, *args, **kwargs).arguments)
        del given["self"]
        check_arrays(given)
        if "y" in signature.parameters:
            check_fitted(self, given)
        return given

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """tf_keras' train step, with `Stepper` in place of the optimizer's part."""
        return self.after_checks(self._train)(*_finite(data))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """tf_keras' test step; inputs must be finite."""
        return dict(super().test_step(_finite(data)))

    def _train(self, x: Any, y: Any, sample_weight: Any) -> dict[str, tf.Tensor]:
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
        # tf_keras includes the layers only for models with its own constructor.
        own = {"name": self.name, "trainable": self.trainable}
        network = copy.deepcopy(functional.get_network_config(self, config=own))
        return {"network": network, "method": stored(self.method)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SparseModel:
        """The inverse of `get_config`; masks are loaded with the weights."""
        check_config(config, "network", "method")
        network = keras.Model.from_config(config["network"], custom_objects)
        sparse = _made_of(network, restored(Method, config["method"]))
        sparse._trainable = config["network"].get("trainable", True)
        return sparse

    def save_own_variables(self, store: Any) -> None:
        """Called when this model, or one that contains it, is saved as `.keras` or weights."""
        self._before_saving()
        super().save_own_variables(store)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> Any:
        if save_type == "savedmodel":  # once per model that contains this one
            self._before_saving()
        return super()._trackable_children(save_type, **kwargs)

    @property
    def use_legacy_config(self) -> bool:
        """Set by tf_keras when this model, or one that contains it, is saved as HDF5."""
        return self._is_for_hdf5

    @use_legacy_config.setter
    def use_legacy_config(self, value: bool) -> None:
        self._before_saving()
        self._is_for_hdf5 = value

    @use_legacy_config.deleter
    def use_legacy_config(self) -> None:
        self._is_for_hdf5 = False

    def _before_saving(self) -> None:
        store_masked(self)
        tell_unfinished(self, "is saved at")

    @property
    def _tracking_metadata(self) -> str:
        return with_own_trainable(super()._tracking_metadata)

    def finalize_state(self) -> None:
        """Called by Keras when a SavedModel is loaded that contains this model."""
        super().finalize_state()
        if self.trainable is None:  # of `with_own_trainable`
            self._trainable = True

    def _variable(self, name: str, shape: Any, dtype: tf.DType) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


# HDF5 files name a model's class without its package.
keras.saving.get_custom_objects()[SparseModel.__name__] = SparseModel


def sparsify(
    model: keras.Model,
    method: Method | None = None,
    *,
    data: Batches | None = None,
    loss: Any = None,
    layers: Choice | None = None,
    skip: Choice | None = None,
) -> SparseModel:
    """Returns a model with a mask on each prunable weight, made and kept sparse by a method.

    The new model takes over the layers of the given one, and both share their weights. The weights
    carry their masks, and stay sparse in any training. A layer wrapped by tfmot's
    `prune_low_magnitude` starts with its masks. Layers that cannot be pruned, and frozen ones
    (trainable=False), stay dense: a RunWarning names those with kernels, and `dense_layers` lists
    all. The density is that of the layers with masks.

    Args:
        model: built Sequential or functional tf_keras model.
        method: a method; by default all weights are kept.
        data: batches (images, labels), for methods that need gradients first.
        loss: the loss of these gradients, as for `compile`; by default the one that the model was
            compiled with, or the cross-entropy of its logits.
        layers: the layers to prune, by a pattern of their names (`conv_*`), a list of patterns or a
            function of a layer; by default all that can be pruned.
        skip: layers to leave dense, likewise.

    Raises:
        InputError: see `wrap` and the methods.
    """
    if method is not None:  # before masks are created
        require("method", method, Method)
    wrapped = wrap(model, layers, skip)
    if layers is None:
        tell_dense(wrapped)
    sparse = _made_of(wrapped, method)
    sparse.task_loss = _task_loss(model, loss)
    sparse.start(data)
    return sparse


def with_own_trainable(metadata: str) -> str:
    """Configuration of a model in a SavedModel, such that frozen layers stay frozen.

    Keras would set `trainable` of all layers to the model's; here each layer stores its own.
    """
    return json.dumps({**json.loads(metadata), "trainable": None})


def _finite(data: Any) -> tuple[Any, Any, Any]:
    """The inputs, labels and weights of a batch, once its inputs are known to be finite."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    asserted = [
        assert_images(tf.cast(each, tf.float32), None)
        for each in tf.nest.flatten(x)
        if isinstance(each, tf.Tensor) and each.dtype.is_floating
    ]
    with after(asserted):  # so that a refused batch changes nothing
        return tf.nest.map_structure(tf.identity, x), y, sample_weight


def _made_of(network: keras.Model, method: Method | None) -> SparseModel:
    """Makes a sparse model of a wrapped one, with its `add_loss` and `add_metric` layers."""
    sparse = SparseModel(network.input, network.output, method, network.name, _beside(network))
    sparse._trainable = network.trainable
    sparse._callable_losses.extend(network._callable_losses)
    sparse._set_dtype_policy(network.dtype_policy)  # decides whether `compile` scales losses
    return sparse


def _beside(network: keras.Model) -> list[Any]:
    """The nodes that no output depends on, without those of models it was cloned from."""
    beside: list[Any] = []
    known: set[int] = set()
    for depth, nodes in sorted(network._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if depth < 0:
                if not known.issuperset(map(id, tf.nest.flatten(node.keras_inputs))):
                    continue
                beside.append(node)
            known.update(map(id, tf.nest.flatten(node.outputs)))
    return beside


def _task_loss(model: keras.Model, loss: Any) -> Any:
    """A tf_keras loss: the given one, otherwise the model's own; None if there is none."""
    given = loss is not None
    loss = loss if given else getattr(model, "loss", None)
    if not given and not loss:  # {} if it was compiled without a loss
        return None
    found = None
    with contextlib.suppress(ValueError, TypeError):
        found = keras.losses.get(loss)
    if is_measure(found):
        return found
    if not given:  # several losses; methods that need one refuse them
        return None
    raise InputError(f"loss={shown(loss)}: must be one tf_keras loss or its name")
