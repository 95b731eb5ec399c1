"""Random inputs of networks, for comparing exported files with them."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.evaluation.inputs import pixels_scaled
from robust_sparse_tf.models.network import require_single

_BATCH = 100
_ANY = 64  # for sizes that are not fixed


def require_built(network: keras.Model) -> None:
    """Raises InputError unless a network knows the shapes of its inputs."""
    if not network.inputs:
        raise InputError(f"model {network.name}: must be built; begin it with an Input layer")


def require_numbers(network: keras.Model, target: str) -> None:
    """Raises InputError unless a network has one input of numbers, and one output.

    Args:
        network: Sequential or functional model.
        target: name of the format that it is exported to, for the message.
    """
    require_built(network)
    require_single(network)
    dtype = network.inputs[0].dtype
    if not dtype.is_floating and not dtype.is_integer:
        raise InputError(
            f"model {network.name}: has inputs of type {dtype.name}; must have numbers, to be "
            f"converted to {target}"
        )


def random_inputs(network: keras.Model, size: int = _BATCH) -> np.ndarray:
    """Inputs [size, ...] of a network with one input: numbers in [0, 1], or whole numbers.

    Integer inputs and those of embeddings are whole numbers from 0 up to 255, or to the number of
    an embedding's entries. A size that is not fixed is 64.
    """
    (symbol,) = network.inputs
    rng, shape = np.random.default_rng(0), (size, *(each or _ANY for each in symbol.shape[1:]))
    tokens = [
        each.input_dim for each in network.submodules if isinstance(each, keras.layers.Embedding)
    ]
    if not tokens and symbol.dtype.is_floating:
        return rng.random(shape, np.float32)
    most = min(tokens) if tokens else min(symbol.dtype.max + 1, 256)
    return rng.integers(0, most, shape).astype(symbol.dtype.as_numpy_dtype)


def outputs(network: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """The first output of a network in float32 [n, ...], without training."""
    found = tf.nest.flatten(network(inputs, training=False))[0]
    return tf.cast(found, tf.float32).numpy()


def require_equal(path: str, form: str, expected: np.ndarray, found: np.ndarray) -> None:
    """Raises TrainingError if a file's outputs differ from the model's by more than rounding."""
    same = expected.shape == found.shape
    difference = np.abs(expected - found).max() if same else np.inf
    if not difference <= 1e-4 * max(1.0, np.abs(expected).max()):
        raise TrainingError(f"{path}: outputs in {form} differ from tf_keras' by {difference}")


def scaled(images: np.ndarray, dtype: Any) -> np.ndarray:
    """Images of pixels (uint8) in [0, 1] for inputs of real numbers; other images as they are."""
    return pixels_scaled(images) if tf.as_dtype(dtype).is_floating else images
