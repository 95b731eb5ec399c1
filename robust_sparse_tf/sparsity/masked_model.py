"""A model that holds masks: its weights stay masked, and it tells when it is not yet sparse."""

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
    _Model = object  # tf_keras changes the bases of functional models' classes


class MaskedModel(_Model):
    """What goes before `keras.Model` among the bases of a model whose own train step keeps masks.

    Weights that are put in, saved or exported are stored masked. A network that is put back, saved
    or exported before its method's schedule has ended is denser than asked for; a RunWarning says
    so, whatever writes the file: tf_keras tells a sparse model of all but checkpoints.
    """

    _by_xla = False
    _jit_compile: bool | None

    def compile(self, optimizer: Any = "rmsprop", *args: Any, **kwargs: Any) -> None:
        """As `tf_keras.Model.compile`; the optimizer's slots are made at once."""
        with self.distribute_strategy.scope():
            optimizer = slots.as_optimizer(optimizer)
        with one_line():
            given = inspect.signature(keras.Model.compile).bind(self, optimizer, *args, **kwargs)
            check_compiled(network_of(self), given.arguments)
            super().compile(optimizer, *args, **kwargs)
        # tf_keras compiles a step with its assertions, which XLA leaves out: see `after_checks`.
        # That sums over replicas, which XLA can do only where tf_keras has called it.
        if self.distribute_strategy.num_replicas_in_sync == 1:
            self._by_xla, self._jit_compile = bool(self._jit_compile), False
        # A train step that made variables would be traced a second time.
        with self.distribute_strategy.scope():
            slots.build(self.optimizer, self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As `tf_keras.Model.compile_from_config`, which leaves models with their own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def after_checks(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """What a train or test step does once its data are checked; by XLA, if asked for."""
        return tf.function(step, jit_compile=True) if self._by_xla else step

    def set_weights(self, weights: Any) -> None:
        """As of any model; `EarlyStopping(restore_best_weights=True)` does it.

        Raises:
            InputError: for others than `get_weights` gives, as those of the dense network.
        """
        require("weights", weights, list, tuple)
        own = len(self.weights)
        if len(weights) != own:
            raise InputError(
                f"weights: are {len(weights)} arrays; must be {own} with the masks, as get_weights "
                "gives them (those of a dense network: give them to it before it is sparsified)"
            )
        with one_line():
            super().set_weights(weights)
        store_masked(network_of(self))
        tell_unfinished(self, "is put back to")

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """As of any model.

        Raises:
            InputError: for a file that cannot be read, or that lacks weights or masks of the model.
        """
        with one_line():
            try:
                found = super().load_weights(*args, **kwargs)
            except (OSError, AssertionError, tf.errors.OpError) as error:
                raise InputError(f"weights: cannot be read ({reason(error)})") from error
        self._check_loaded(found)
        store_masked(network_of(self))
        tell_unfinished(self, "is put back to")
        return found

    def _check_loaded(self, status: Any) -> None:
        """Raises InputError where a checkpoint lacks weights, which tf_keras passes over."""
        if status is None:  # of a file of HDF5
            return
        known = {id(each) for each in status._checkpoint.object_by_proto_id.values()}
        own = network_of(self).weights
        missing = [v.name for v in own if id(getattr(v, "_variable", v)) not in known]
        if missing:
            raise InputError(
                f"weights: the checkpoint lacks {len(missing)} of the model's, as {missing[0]}; "
                "must be of the same model (those of a dense network: load them into it before it "
                "is sparsified)"
            )

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As of any model; a RunWarning says where a SavedModel loses an optimizer's state."""
        store_masked(network_of(self))
        form = saved_format(filepath, *args, **kwargs)
        if form == "tf" and kwargs.get("include_optimizer", True):
            _tell_forgotten(self)
        with one_line():
            super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As of any model."""
        filepath = checked_path("filepath", filepath)
        store_masked(network_of(self))
        if not filepath.endswith(".weights.h5"):  # of which the sparse model tells
            tell_unfinished(self, "is saved at")
        with one_line():
            super().save_weights(filepath, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As of any model."""
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
    """Which format `tf_keras.Model.save` takes, called with these: "keras", "h5" or "tf".

    Raises:
        InputError: for one that tf_keras does not know, and for what is no path.
    """
    if not isinstance(filepath, h5py.File):
        checked_path("filepath", filepath)
    with one_line():
        found: str = saving_api.get_save_format(filepath, save_format)
    return found


def sparse_models(network: keras.Model) -> list[Any]:
    """The `SparseModel`s that a network is or holds; each has a `method`."""
    return [m for m in models_in(network) if isinstance(getattr(m, "method", None), Method)]


def strip(model: keras.Model) -> keras.Model:
    """See `wrapper.strip`; a RunWarning says where the schedule of its method has not ended.

    Raises:
        InputError: for what is no Sequential or functional tf_keras model.
    """
    tell_unfinished(model, "is stripped at")
    return wrapper.strip(model)


def tell_unfinished(model: keras.Model, what: str) -> None:
    """Warns of a network that its method has not yet made as sparse as asked.

    Args:
        model: with or without masks.
        what: happens to it, as "is saved at"; the density follows.
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
                f"{method.density:g} was asked for",
                RunWarning,
                stacklevel=3,
            )


def _tell_forgotten(model: keras.Model) -> None:
    """Warns of what tf_keras leaves out of SavedModels, of any model."""
    if model.optimizer:
        warnings.warn(
            f"model {model.name}: a SavedModel does not keep the optimizer's state; save it as "
            ".keras to continue training as if it had not been saved",
            RunWarning,
            stacklevel=3,
        )


def tell_density(model: keras.Model) -> None:
    """Warns of first masks whose density is not the one that a sparse model's method was given."""
    method = model.method
    if not isinstance(method, Targeted) or method.thins:
        return
    density, size, number = _kept(model)
    # Rounding moves a layer by a weight.
    if abs(density - method.density) > max(0.01 * method.density, number / size):
        warnings.warn(
            f"model {model.name}: {type(method).__name__} gives density {density:.4g} instead of "
            f"density={method.density:g} (what a layer keeps at least, units that are kept whole, "
            "or masks that were there)",
            RunWarning,
            stacklevel=3,
        )


def tell_unstarted(model: keras.Model) -> None:
    """Warns of a model about to train with all its weights, of which its method wants a part."""
    method = model.method
    if not isinstance(method, Targeted) or method.thins or method.density == 1:
        return
    if _kept(model)[0] == 1:
        warnings.warn(
            f"model {model.name}: has all its weights, though {type(method).__name__} has density="
            f"{method.density:g}; a clone has no masks until it is given weights, or start() is "
            "called",
            RunWarning,
            stacklevel=3,
        )


def _kept(model: keras.Model) -> tuple[float, int, int]:
    """The share of weights that masks keep, and the numbers of weights and of layers."""
    entries = list(masked_weights(model))
    kept = sum(int(tf.math.count_nonzero(entry.mask)) for entry in entries)
    size = sum(entry.size for entry in entries)
    return kept / size, size, len(entries)
