"""Checks of the inputs of evaluations, before hours are spent on them."""

import contextlib
import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import checks
from robust_sparse_tf.attacks.base import Attack, Logits
from robust_sparse_tf.attacks.precision import Float32, is_half
from robust_sparse_tf.bounds.inputs import ANY_RANGE as ANY_RANGE
from robust_sparse_tf.bounds.inputs import as_images as as_images
from robust_sparse_tf.bounds.inputs import in_range as in_range
from robust_sparse_tf.bounds.inputs import unwrapped as unwrapped
from robust_sparse_tf.data import Split
from robust_sparse_tf.data.gather import Gather
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import heads
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.tensors import as_labels, check_types
from robust_sparse_tf.values import check_labels

Data: TypeAlias = Split | tuple[Any, Any] | tf.data.Dataset
"""Labelled examples, see `images_and_labels`."""

_COLLECTED = 500  # examples read at a time from a data set of single examples


def as_logits(model: Any, images: np.ndarray | None = None) -> Logits:
    """Returns a callable from inputs to float32 logits, at inference.

    Args:
        model: tf_keras model, or a function from images to logits; a function that computes with
            NumPy has no gradient.
        images: [n, ...], to try a function in a graph; without them, it must consist of TensorFlow
            operations.

    Raises:
        InputError: for anything else, or a network that does not return logits.
    """
    network = network_of(model)
    if isinstance(network, keras.Model):
        if getattr(network, "_is_graph_network", False):
            heads.require_logits(network)
        logits = _with_autograph(lambda x: network(x, training=False))
        return Float32(logits, half=is_half(network))
    if not callable(network) or isinstance(network, type | Attack):
        raise InputError(
            f"model of type {type(model).__name__}: must be a tf_keras model, or a function from "
            "images to logits"
        )
    if isinstance(network, Float32):
        return network
    logits = _with_autograph(network)
    if images is not None and not _runs_in_graphs(logits, images):
        logits = _OfValues(network)
    return Float32(logits, half=is_half(network))


def checked_logits(
    model: Any, images: np.ndarray, labels: np.ndarray | None = None
) -> tuple[Logits, int]:
    """The model as from `as_logits`, tried on a few of the images, and its number of classes.

    Raises:
        InputError: for a model that does not return logits, or labels outside its classes.
    """
    logits = as_logits(model, images)
    classes = checks.check_model(logits, images)
    if labels is not None:
        check_labels(labels, classes)
    return logits, classes


def _runs_in_graphs(function: Logits, images: np.ndarray) -> bool:
    try:
        graph(function, tf.TensorSpec([None, *images.shape[1:]]))
    except Exception:  # any exception, as the function is the user's; `check_model` reports it
        return False
    return True


@dataclasses.dataclass(frozen=True)
class _OfValues:
    """A function that computes with NumPy, and so needs values; see `as_they_run`.

    Args:
        function: from images, as values, to logits of any type.
    """

    function: Logits

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.constant(np.asarray(self.function(x), np.float32))


@contextlib.contextmanager
def as_they_run(*models: Logits) -> Iterator[None]:
    """Lets attacks run eagerly if a model needs that.

    A graph could call the model, too, but `Model.predict` would wait for a thread that the graph
    holds.

    Args:
        models: from `as_logits`.
    """
    if not any(isinstance(m, Float32) and isinstance(m.model, _OfValues) for m in models):
        yield
        return
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():  # about the data that `Model.predict` makes
            warnings.filterwarnings("ignore", "Even though the `tf.config", UserWarning)
            yield
    finally:
        tf.config.run_functions_eagerly(before)


def graph(function: Callable[..., Any], *signature: tf.TensorSpec) -> Callable[..., Any]:
    """`tf.function` for attacks, which branch with TensorFlow operations only.

    Without AutoGraph, which would take longer than the attacks on small networks.

    Args:
        function: the function to trace.
        signature: signature of its arguments, to trace it at once; None to trace it when called.
    """
    if tf.config.functions_run_eagerly():
        return function
    made = tf.function(function, autograph=False)
    return made.get_concrete_function(*signature) if signature else made


def _with_autograph(logits: Logits) -> Logits:
    """Enables AutoGraph inside of `graph`, for users' code that may branch with Python's `if`."""
    autograph = tf.__internal__.autograph  # as Keras does for its layers
    return autograph.tf_convert(logits, autograph.control_status_ctx())


def connected(logits: Logits, images: np.ndarray) -> tuple[Logits, bool]:
    """Adds a gradient of zeros to a model that has none; returns whether it had one, too."""
    x = tf.constant(images[:2])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = logits(x)
    if tape.gradient(value, x) is not None:
        return logits, True
    return lambda x: logits(x) + 0 * tf.reduce_sum(x), False


def is_noisy(logits: Logits, images: np.ndarray) -> bool:
    """Whether the same images give different logits each time."""
    few = tf.constant(images[:32])
    first, second = logits(few).numpy(), logits(few).numpy()
    return bool(np.abs(first - second).max() > 1e-3 * np.abs(first).max())


def mixes(logits: Logits, images: np.ndarray) -> bool:
    """Whether an image's logits depend on the other images of its batch."""
    few = tf.constant(images[:32])
    whole, part = logits(few).numpy(), logits(few[:1]).numpy()
    return bool(np.abs(whole[:1] - part).max() > 1e-3 * np.abs(whole).max())


def digest(images: np.ndarray, labels: np.ndarray) -> str:
    """A digest of the examples."""
    whole = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    whole.update(labels.tobytes())
    return whole.hexdigest()[:16]


class Examples:
    """Labelled inputs in memory, of any shape and range; has what measures use of a `Split`.

    Args:
        images: float32 [n, ...].
        labels: int64 [n].
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels
        self.gather = Gather(images, labels)

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.images)


def examples(data: Data | Examples, limits: tuple[float, float] = ANY_RANGE) -> Split | Examples:
    """Data of any form that is supported, checked; see `images_and_labels`."""
    if isinstance(data, Split | Examples):
        if limits[0] > 0 or limits[1] < 1 or isinstance(data, Examples):
            as_images(pixels_scaled(data.images), limits)
        return data
    return Examples(*images_and_labels(data, limits))


def batches(data: Data | Examples, size: int) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Batches in order: (int64 number of the first example, images, labels) of up to `size`."""
    split = examples(data)
    for first in range(0, split.size, size):
        numbers = tf.range(first, min(first + size, split.size), dtype=tf.int64)
        yield numbers[0], *split.gather(numbers)


def images_and_labels(data: Data, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns images float32 [n, ...] and labels int64 [n].

    Args:
        data: a `Split`, whose uint8 images are scaled to [0, 1]; (images, labels); or a data set of
            such pairs, single or in batches. Other images are numbers of any type, and are not
            scaled; for labels see `tensors.as_labels`.
        limits: minimum and maximum value allowed; rounding errors outside are clipped.

    Raises:
        InputError: naming what is wrong.
    """
    if isinstance(data, Split):
        images, labels = pixels_scaled(data.images), data.labels
    elif isinstance(data, tf.data.Dataset):
        images, labels = _collected(data)
    elif isinstance(data, tuple) and len(data) == 2:
        images, labels = data
    else:
        raise InputError(
            f"data of type {type(data).__name__}: must be a robust_sparse_tf.data.Split or "
            "(images, labels), as arrays or as a tf.data.Dataset; weights are not supported"
        )
    images, labels = as_images(images, limits), as_labels("labels", labels).numpy()
    check_types(images, labels)
    return images, labels


def pixels_scaled(images: np.ndarray) -> np.ndarray:
    """Images of pixels (uint8) as float32 in [0, 1]; others as they are."""
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def _collected(data: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    spec = data.element_spec
    pairs = isinstance(spec, tuple) and [type(part) for part in spec] == [tf.TensorSpec] * 2
    if not pairs:
        raise InputError(f"data of {spec}: must be pairs (images, labels)")
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError("data: repeats without end; must be finite, use take()")
    if spec[1].shape.rank == 0:
        data = data.batch(_COLLECTED)
    parts = list(data.as_numpy_iterator())
    if not parts:
        raise InputError("data: is empty; must hold at least one example")
    try:
        images, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    except ValueError as error:
        raise InputError(f"data of {spec}: all examples must have the same shape") from error
    return images, labels
