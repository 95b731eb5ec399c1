"""Base of models with masks: weights stay masked, and warnings report unfinished schedules."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import h5py
import tensorflow as tf
import tf_keras as keras
from tf_keras.src.saving import saving_api

from robust_sparse_tf.errors import InputError, RunWarning, reason
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.options import checked_path, require, shown
from robust_sparse_tf.sparsity import slots, wrapper
from robust_sparse_tf.sparsity.checks import check_compiled
from robust_sparse_tf.sparsity.methods.base import Method, Targeted
from robust_sparse_tf.sparsity.wrapper import masked_weights, models_in, store_masked
from robust_sparse_tf.values import one_line

if TYPE_CHECKING:
    from tf_keras import Model as _Model
else:
    _Model = object  # tf_keras changes the bases of functional models


class MaskedModel(_Model):
    """Mixin before `keras.Model`, for models whose own train step keeps masks.

    Weights that are set, saved or exported are masked. A network that is restored, saved or
    exported before its method's schedule has ended is denser than requested, and a RunWarning says
    so. That works for any writer, except for checkpoints, of which tf_keras does not inform models.
    """

    _by_xla = False
    _jit_compile: bool | None

    def compile(self, optimizer: Any = "rmsprop", *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model.compile`; the optimizer's slots are created at once."""
        with self.distribute_strategy.scope():
            optimizer = slots.as_optimizer(optimizer)
        with one_line():
            given = inspect.signature(keras.Model.compile).bind(self, optimizer, *args, **kwargs)
            check_compiled(network_of(self), given.arguments)
            super().compile(optimizer, *args, **kwargs)
        # XLA would leave out the assertions of a step that tf_keras compiles: see `after_checks`.
        # It sums over replicas, which XLA supports only if tf_keras has called it.
        if self.distribute_strategy.num_replicas_in_sync == 1:
            self._by_xla, self._jit_compile = bool(self._jit_compile), False
        # A train step that creates variables would be traced a second time.
        with self.distribute_strategy.scope():
            slots.build(self.optimizer, self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """See `tf_keras.Model.compile_from_config`, which skips models with their own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def after_checks(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Runs the part of a train or test step after the checks of data; by XLA, if requested."""
        return tf.function(step, jit_compile=True) if self._by_xla else step

    def set_weights(self, weights: Any) -> None:
        """See `tf_keras.Model.set_weights`; `EarlyStopping(restore_best_weights=True)` calls it.

        Raises:
            InputError: for other arrays than those of `get_weights`, such as those of a dense
                network.
        """
        require("weights", weights, list, tuple)
        own = len(self.weights)
        if len(weights) != own:
            raise InputError(
                f"weights: are {len(weights)} arrays; must be {own} with the masks, as from "
                "get_weights (set those of a dense network before it is sparsified)"
            )
        with one_line():
            super().set_weights(weights)
        store_masked(network_of(self))
        tell_unfinished(self, "is restored to")

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model`.

        Raises:
            InputError: if the file cannot be read, or lacks weights or masks of the model.
        """
        with one_line():
            try:
                found = super().load_weights(*args, **kwargs)
            except (OSError, AssertionError, tf.errors.OpError) as error:
                raise InputError(f"weights: cannot be read ({reason(error)})") from error
        self._check_loaded(found)
        store_masked(network_of(self))
        tell_unfinished(self, "is restored to")
        return found

    def _check_loaded(self, status: Any) -> None:
        """Raises InputError if a checkpoint lacks weights, which tf_keras ignores."""
        if status is None:  # HDF5
            return
        known = {id(each) for each in status._checkpoint.object_by_proto_id.values()}
        own = network_of(self).weights
        missing = [v.name for v in own if id(getattr(v, "_variable", v)) not in known]
        if missing:
            raise InputError(
                f"weights: the checkpoint lacks {len(missing)} of the model's, as {missing[0]}; "
                "must be of the same model (load those of a dense network before it is sparsified)"
            )

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model.save`; a RunWarning says if a SavedModel loses optimizer state."""
        store_masked(network_of(self))
        form = saved_format(filepath, *args, **kwargs)
        if form == "tf" and kwargs.get("include_optimizer", True):
            _tell_forgotten(self)
        with one_line():
            super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model`."""
        filepath = checked_path("filepath", filepath)
        store_masked(network_of(self))
        if not filepath.endswith(".weights.h5"):  # the sparse model warns then
            tell_unfinished(self, "is saved at")
        with one_line():
            super().save_weights(filepath, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model`."""
        filepath = checked_path("filepath", filepath)
        store_masked(network_of(self))
        tell_unfinished(self, "is exported at")
        with one_line():
            super().export(filepath, *args, **kwargs)


def check_config(config: Any, *names: str) -> None:
    """Raises InputError for what `get_config`, with these names in it, did not return."""
    if not isinstance(config, Mapping) or not set(names).issubset(config):
        raise InputError(f"config={shown(config)}: must hold {', '.join(names)}, as of get_config")


def saved_format(
    filepath: Any, overwrite: bool = True, save_format: str | None = None, **_: Any
) -> str:
    """The format that `tf_keras.Model.save` chooses for these arguments: "keras", "h5" or "tf".

    Raises:
        InputError: for an unknown format, or a value that is not a path.
    """
    if not isinstance(filepath, h5py.File):
        checked_path("filepath", filepath)
    with one_line():
        found: str = saving_api.get_save_format(filepath, save_format)
    return found


def sparse_models(network: keras.Model) -> list[Any]:
    """The network itself and nested models, as far as they are `SparseModel`s."""
    return [m for m in models_in(network) if isinstance(getattr(m, "method", None), Method)]


def strip(model: keras.Model) -> keras.Model:
    """See `wrapper.strip`; a RunWarning says if the schedule of the method has not ended.

    Raises:
        InputError: unless it is a Sequential or functional tf_keras model.
    """
    tell_unfinished(model, "is stripped at")
    return wrapper.strip(model)


def tell_unfinished(model: keras.Model, what: str) -> None:
    """Warns if a method has not yet reached its density.

    Args:
        model: with or without masks.
        what: what happens to the model, such as "is saved at"; the density follows.
    """
    for network in sparse_models(network_of(model)):
        method = network.method
        if not (isinstance(method, Targeted) and method.thins):
            continue
        step = int(tf.convert_to_tensor(network.step))
        if not method.is_unfinished(step):
            continue
        density = _kept(network)[0]
        if density > 1.001 * method.density:
            warnings.warn(
                f"model {network.name}: {what} density {density:.3g}, at step {step} of "
                f"{type(method).__name__}, whose schedule has not ended; density="
                f"{method.density:g} was requested",
                RunWarning,
                stacklevel=3,
            )


def _tell_forgotten(model: keras.Model) -> None:
    """Warns that tf_keras stores no optimizer state in SavedModels."""
    if model.optimizer:
        warnings.warn(
            f"model {model.name}: a SavedModel does not keep the optimizer's state; save it as "
            ".keras to continue training exactly",
            RunWarning,
            stacklevel=3,
        )


def tell_density(model: keras.Model) -> None:
    """Warns if the first masks do not have the density of a sparse model's method."""
    method = model.method
    if not isinstance(method, Targeted) or method.thins:
        return
    density, size, number = _kept(model)
    # Rounding changes a layer by one weight.
    if abs(density - method.density) > max(0.01 * method.density, number / size):
        warnings.warn(
            f"model {model.name}: {type(method).__name__} gives density {density:.4g} instead of "
            f"density={method.density:g} (because of minimum weights per layer, whole units, or "
            "existing masks)",
            RunWarning,
            stacklevel=3,
        )


def tell_unstarted(model: keras.Model) -> None:
    """Warns if a model is about to train with all its weights, although its method is sparse."""
    method = model.method
    if not isinstance(method, Targeted) or method.thins or method.density == 1:
        return
    if _kept(model)[0] == 1:
        warnings.warn(
            f"model {model.name}: has all its weights, though {type(method).__name__} has density="
            f"{method.density:g}; a clone has no masks until its weights are set or start() is "
            "called",
            RunWarning,
            stacklevel=3,
        )


def _kept(model: keras.Model) -> tuple[float, int, int]:
    """The fraction of weights that masks keep, and the numbers of weights and of layers."""
    entries = list(masked_weights(model))
    kept = sum(int(tf.math.count_nonzero(entry.mask)) for entry in entries)
    size = sum(entry.size for entry in entries)
    return kept / size, size, len(entries)
