"""Checks the arguments of adversarial models' methods, and makes errors one line."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent, RandomIntensity
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.checks import with_counts
from robust_sparse_tf.tensors import as_array, check_shape, check_types
from robust_sparse_tf.training import batches
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.stored import refuse_hdf5
from robust_sparse_tf.values import check_images, one_line


class Called(keras.Model):
    """The methods of an adversarial model that take data: those of tf_keras, with checks.

    Data are arrays, tensors or lists of numbers, a `Split`, or anything else that tf_keras takes.
    """

    network: keras.Model
    attack: Ascent | RandomIntensity | None
    step: tf.Variable
    _gather: batches.Gathers | None = None
    _class_weight: tuple[float, ...] | None = None

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """See `tf_keras.Model.fit`. With a `Split`, an epoch is one pass by default.

        Batches of a `Split` continue from the model's `step`: training that is resumed from a
        checkpoint sees the same batches as without the interruption.

        Raises:
            InputError: for images outside the attack's range or that are not numbers, labels and
                weights that do not fit (arrays and a `Split` are checked before training begins,
                other data batch by batch), and for other invalid arguments.
        """
        given = self._arguments(keras.Model.fit, x, y, *args, **kwargs)
        for callback in tf.nest.flatten(given.get("callbacks")):
            checkpoint = isinstance(callback, keras.callbacks.ModelCheckpoint)
            if checkpoint and not callback.save_weights_only:
                refuse_hdf5(callback.filepath)
        self._check(given["x"], given["y"], given.get("sample_weight"))
        if given.get("validation_data") is not None:
            given["validation_data"] = self._validation(given["validation_data"])
        gather: batches.Gathers | None = None
        class_weight = given.pop("class_weight", None)
        if isinstance(x, Split):
            gather = x.training_gather
            if (own := given.pop("sample_weight", None)) is not None:
                weights = batches.example_weights(x.labels, own)
                with self.distribute_strategy.scope():
                    gather = batches.Weighted(gather, weights)
            if given.get("steps_per_epoch") is None:
                given["steps_per_epoch"] = x.steps_per_epoch
            given["x"] = _shard_by_data(x.index_batches(int(self.step.numpy())))
        self._prepare(gather, class_weight)
        self._eval_data_handler = None  # left from a `fit` that was interrupted
        with one_line():
            return super().fit(**given)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.evaluate`; raises `InputError` like `fit`."""
        if kwargs.get("_use_cached_eval_dataset"):  # `fit` calls it, and has checked the data
            return super().evaluate(x, y, *args, **kwargs)
        given = self._arguments(keras.Model.evaluate, x, y, *args, **kwargs)
        self._check(given["x"], given["y"], given.get("sample_weight"))
        with one_line():
            return super().evaluate(**given)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """See `tf_keras.Model.predict`; raises `InputError` for images that do not fit."""
        given = self._arguments(keras.Model.predict, x, *args, **kwargs)
        if isinstance(given["x"], np.ndarray | tf.Tensor):
            images = as_array("images", given["x"])
            check_types(images, None)
            check_shape(images, self.network.input_shape)
            check_images(images, None)
        with one_line():
            return super().predict(**given)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.train_on_batch`; raises `InputError` like `fit`."""
        given = self._arguments(keras.Model.train_on_batch, x, y, *args, **kwargs)
        self._check(given["x"], given["y"], given.get("sample_weight"))
        self._prepare(None, given.pop("class_weight", None))
        with one_line():
            return super().train_on_batch(**given)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See `tf_keras.Model.test_on_batch`; raises `InputError` like `fit`."""
        given = self._arguments(keras.Model.test_on_batch, x, y, *args, **kwargs)
        self._check(given["x"], given["y"], given.get("sample_weight"))
        with one_line():
            return super().test_on_batch(**given)

    def _arguments(self, method: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of a method by name: numbers checked, lists of numbers as arrays."""
        given = with_counts(inspect.signature(method).bind(self, *args, **kwargs).arguments)
        del given["self"]
        if given["x"] is None:
            raise InputError("x=None: must be images, a Split or a data set")
        rank = len(self.network.input_shape)
        for name, word, own in (
            ("x", "images", rank),
            ("y", "labels", 1),
            ("sample_weight", "weights", 1),
        ):
            if given.get(name) is not None:
                given[name] = _as_one(word, given[name], own)
        return given

    def _validation(self, data: Any) -> Any:
        if not isinstance(data, tuple | list):
            if isinstance(data, str | bytes | Mapping | int | float | np.ndarray | tf.Tensor):
                raise InputError(
                    f"validation_data of type {type(data).__name__}: must be (images, labels), "
                    "(images, labels, weights), a Split or a data set"
                )
            self._check(data)
            return data
        if len(data) not in (2, 3):
            raise InputError(f"validation_data of {len(data)} parts: must be 2 or 3")
        names = ("x", "y", "sample_weight")
        given = self._arguments(keras.Model.evaluate, **dict(zip(names, data, strict=False)))
        self._check(**given)
        return tuple(given.values())

    def _prepare(self, gather: Any, class_weight: Any) -> None:
        """Retraces the train step if its form of data changes."""
        weights = batches.class_weights(class_weight, self._classes)
        if gather is not self._gather or weights != self._class_weight:
            self._gather, self._class_weight, self.train_function = gather, weights, None

    def _check(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        shape = self.network.input_shape
        batches.check_data(x, y, sample_weight, shape, self._classes, self._limits)

    def _batch(self, data: Any) -> Batch:
        return batches.as_batch(data, self.network.input_shape, self._classes, self._limits)

    def _training_batch(self, data: Any) -> Batch:
        batch = Batch(*self._gather(data)) if self._gather else self._batch(data)
        return batches.of_classes(batch, self._class_weight) if self._class_weight else batch

    @property
    def _classes(self) -> int:
        return self.network.output_shape[1]

    @property
    def _limits(self) -> batches.Limits:
        return self.attack.limits if self.attack else None


def _as_one(name: str, value: Any, rank: int) -> Any:
    """Converts numbers to one array; returns data sets and the like unchanged.

    Args:
        name: what to call them.
        value: the argument.
        rank: minimum number of axes of an array; tf_keras also accepts the array as the only item
            of a list or dictionary.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, list | tuple) and len(value) == 1 and np.ndim(value[0]) >= rank:
        (value,) = value
    if isinstance(value, np.ndarray | tf.Tensor | Split) or not _holds_numbers(value):
        return value
    return as_array(name, value)


def _holds_numbers(value: Any) -> bool:
    """Whether a value, if it is data, is an array."""
    kinds = (list, tuple, str, bytes, int, float, Mapping, set)
    return isinstance(value, kinds) or hasattr(value, "__array__")


def _shard_by_data(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
