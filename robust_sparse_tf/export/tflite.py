"""Export to TFLite; files are compared with the Keras model."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import OpResolverType

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, TrainingError, reason
from robust_sparse_tf.export import float32
from robust_sparse_tf.export.examples import outputs, random_inputs, require_built
from robust_sparse_tf.export.tflite_runner import tflite_logits
from robust_sparse_tf.options import checked_path
from robust_sparse_tf.sparsity import strip


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
    inputs = random_inputs(network)
    expected = outputs(network, inputs)
    if given is not network:
        _require_near(path, outputs(given, inputs), expected)
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


def _refuse(network: keras.Model) -> None:
    """Raises InputError for models that cannot be converted."""
    require_built(network)
    counts = len(network.inputs), len(network.outputs)
    reason = ""
    if not network.inputs[0].dtype.is_floating and not network.inputs[0].dtype.is_integer:
        reason = f"has inputs of type {network.inputs[0].dtype.name}; must have numbers"
    elif max(counts) > 1:
        reason = "has {} inputs and {} outputs; must have one of each".format(*counts)
    elif None in network.inputs[0].shape[1:]:
        reason = f"has inputs of shape {network.inputs[0].shape}; all sizes but the batch's must "
        reason += "be known"
    elif network.stateful:
        reason = "keeps states between calls; build it with stateful=False"
    if reason:
        raise InputError(f"model {network.name}: {reason}, to be converted to TFLite")


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
