"""Export to SavedModel and TFLite; TFLite files are compared with the Keras model."""

import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import OpResolverType

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, TrainingError, reason
from robust_sparse_tf.export import float32
from robust_sparse_tf.export.tflite_runner import tflite_logits
from robust_sparse_tf.options import checked_path
from robust_sparse_tf.sparsity import strip

_BATCH = 100


def to_saved_model(model: keras.Model, path: str) -> None:
    """Writes the stripped model as a SavedModel; `path` appears once it is complete.

    Raises:
        InputError: unless it is a built Sequential or functional tf_keras model.
    """
    path = checked_path("path", path)
    network, partial = strip(model), path + ".partial"
    _require_built(network)
    shutil.rmtree(partial, ignore_errors=True)
    with files.naming(path), files.discarding(partial):
        network.save(partial, save_format="tf", include_optimizer=False)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)


def to_tflite(model: keras.Model, path: str) -> int:
    """Writes a TFLite model with float32 weights, stored sparse where that saves space.

    The converter stores layers with less than about 30 % zeros dense. If its sparse encoding is
    wrong, all layers are stored dense: it mistakes runs of zeros, as of pruned units, for blocks of
    four even if a layer's inputs are not a multiple of four. Networks in float16, mixed precision
    or float64 are written as float32. The file of a recurrent network takes one example at a time;
    call the interpreter's `reset_all_variables` before each.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: for several inputs or outputs, unknown sizes, states kept between calls, or a
            model that the converter refuses.
        TrainingError: if its outputs on random inputs differ from the Keras model's.
    """
    path, network = checked_path("path", path), strip(model)
    _refuse(network)
    given, network = network, float32.rebuilt(network)
    layers = [layer for layer in network.submodules if isinstance(layer, keras.layers.Layer)]
    inputs = _random_inputs(network, layers)
    expected = _outputs(network, inputs)
    if given is not network:
        _require_near(path, _outputs(given, inputs), expected)
    fixed = any(isinstance(layer, keras.layers.RNN) for layer in layers)
    for optimizations in ([tf.lite.Optimize.EXPERIMENTAL_SPARSITY], []):
        content = _convert(network, optimizations, fixed)
        difference = _difference(content, inputs, expected)
        if difference <= 1e-4 * max(1.0, np.abs(expected).max()):
            break
    else:
        raise TrainingError(f"{path}: TFLite logits differ from Keras' by {difference}")
    with files.complete(path) as file:
        file.write(content)
    return len(content)


def _require_built(network: keras.Model) -> None:
    if not network.inputs:
        raise InputError(f"model {network.name}: must be built; begin it with an Input layer")


def _refuse(network: keras.Model) -> None:
    """Raises InputError for models that cannot be converted."""
    _require_built(network)
    inputs, outputs = len(network.inputs), len(network.outputs)
    reason = ""
    if not network.inputs[0].dtype.is_floating and not network.inputs[0].dtype.is_integer:
        reason = f"has inputs of type {network.inputs[0].dtype.name}; must have numbers"
    elif inputs > 1 or outputs > 1:
        reason = f"has {inputs} inputs and {outputs} outputs; must have one of each"
    elif None in network.inputs[0].shape[1:]:
        reason = f"has inputs of shape {network.inputs[0].shape}; all sizes but the batch's must "
        reason += "be known"
    elif network.stateful:
        reason = "keeps states between calls; build it with stateful=False"
    if reason:
        raise InputError(f"model {network.name}: {reason}, to be converted to TFLite")


def _random_inputs(network: keras.Model, layers: list[keras.layers.Layer]) -> np.ndarray:
    """Inputs for the comparison: whole numbers for embeddings and integer inputs."""
    (symbol,) = network.inputs
    rng, shape = np.random.default_rng(0), (_BATCH, *symbol.shape[1:])
    tokens = [each.input_dim for each in layers if isinstance(each, keras.layers.Embedding)]
    if not tokens and symbol.dtype.is_floating:
        return rng.random(shape, np.float32)
    most = min(tokens) if tokens else min(symbol.dtype.max + 1, 256)
    return rng.integers(0, most, shape).astype(symbol.dtype.as_numpy_dtype)


def _convert(network: keras.Model, optimizations: list[Any], fixed: bool) -> bytes:
    """The content of a file; `fixed`: for a batch of one, which loops need."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if fixed:
        (symbol,) = network.inputs
        spec = tf.TensorSpec([1, *symbol.shape[1:]], symbol.dtype)
        call = tf.function(lambda inputs: network(inputs, training=False))
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [call.get_concrete_function(spec)], network
        )
    converter.optimizations = optimizations
    try:
        return converter.convert()
    except Exception as error:  # of many kinds
        lines = str(error).splitlines()
        line = next((line for line in lines if "error:" in line), reason(error))
        told = line.split("error:")[-1].strip()[:200]
        raise InputError(f"model {network.name}: cannot be converted to TFLite ({told})") from error


def _outputs(network: keras.Model, inputs: np.ndarray) -> np.ndarray:
    found = tf.nest.flatten(network(inputs, training=False))[0]
    return tf.cast(found, tf.float32).numpy()


def _require_near(path: str, given: np.ndarray, found: np.ndarray) -> None:
    """Raises TrainingError if outputs differ by more than rounding to half precision."""
    difference = np.abs(given - found).max()
    if not difference <= 0.05 * max(1.0, np.abs(given).max()):
        raise TrainingError(f"{path}: float32 logits differ from the model's by {difference}")


def _difference(content: bytes, inputs: np.ndarray, expected: np.ndarray) -> float:
    """The maximum difference of logits, with and without XNNPACK."""
    return np.max(
        [
            np.abs(tflite_logits(content, inputs, resolver) - expected).max()
            for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        ]
    )
