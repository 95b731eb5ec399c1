"""The quantisations of TFLite files: conversion, and recognition by content.

int8 and int4 are of weights, with activations quantised on the fly; full_int8 is of weights and
activations, with inputs and outputs in float32.
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert import schema_py_generated as schema

from robust_sparse_tf.errors import InputError, not_installed, reason
from robust_sparse_tf.export.flatbuffer import read_model

_BITS = {"int8": 8, "int4": 4}


def convert(
    network: keras.Model,
    quantization: str,
    sparse: bool,
    images: np.ndarray | None = None,
    fixed: bool = False,
) -> bytes:
    """The content of a TFLite file.

    Args:
        network: stripped network with one input and one output, computing in float32.
        quantization: one of `formats.QUANTIZATIONS`.
        sparse: whether layers with enough zeros are stored sparse; whether the runtimes compute
            such a file right is up to `combinations.refusal`.
        images: float32 [n, ...] that give the ranges of activations, for full_int8; None if the
            network has trained ranges.
        fixed: whether the batch size is one, which loops need.

    Raises:
        InputError: for a network that cannot be converted.
    """
    converter = _converter(network, fixed)
    if sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if quantization in ("fp16", "full_int8"):
        converter.optimizations = [*converter.optimizations, tf.lite.Optimize.DEFAULT]
    if quantization == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "full_int8" and images is not None:
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    with _refusing(network), warnings.catch_warnings():
        # The converter misses statistics of inputs that have none, as they stay float32.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        content: bytes = converter.convert()
        if quantization in _BITS:
            content = quantised(content, _BITS[quantization])
    return content


def quantised(content: bytes, bits: int) -> bytes:
    """A float32 TFLite file with weights in 8 or 4 bits, one scale per output; zeros stay zeros.

    A sparse-encoded file is returned as it is, or refused: the quantizer does not know the
    encoding.
    """
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise not_installed("ai-edge-quantizer", "export") from error
    recipes = {8: recipe.dynamic_wi8_afp32, 4: recipe.dynamic_wi4_afp32}
    work = quantizer.Quantizer(bytearray(content), recipes[bits]())
    result = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def quantization_of(content: bytes) -> str:
    """The name of a TFLite file's quantisation, by the types of its weights and activations."""
    model, numbers = read_model(content), schema.TensorType
    stored: set[int] = set()
    computed: set[int] = set()
    for tensor in _tensors(model):
        constant = len(model.buffers[tensor.buffer].data) > 0
        (stored if constant else computed).add(tensor.type)
    if numbers.INT4 in stored:
        return "int4"
    if numbers.INT8 in stored:
        return "full_int8" if numbers.INT8 in computed else "int8"
    return "fp16" if numbers.FLOAT16 in stored else "fp32"


def missing(content: bytes, quantization: str, sparse: bool) -> str:
    """The reason why a file is not as asked for, which converters do not report; "" if it is."""
    if quantization != "fp32" and quantization_of(content) != quantization:
        return "no layer is one that can be quantised"
    if sparse and not sparse_layers(content):
        return "no layer is one that can be stored sparse"
    return ""


def sparse_layers(content: bytes) -> int:
    """The number of weights that a TFLite file stores sparse."""
    return sum(tensor.sparsity is not None for tensor in _tensors(read_model(content)))


def _converter(network: keras.Model, fixed: bool) -> Any:
    if not fixed:
        return tf.lite.TFLiteConverter.from_keras_model(network)
    (symbol,) = network.inputs
    spec = tf.TensorSpec([1, *symbol.shape[1:]], symbol.dtype)
    call = tf.function(lambda inputs: network(inputs, training=False))
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [call.get_concrete_function(spec)], network
    )


@contextlib.contextmanager
def _refusing(network: keras.Model) -> Iterator[None]:
    """Turns whatever the converters raise into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # any exception
        lines = str(error).splitlines()
        line = next((line for line in lines if "error:" in line), reason(error))
        told = line.split("error:")[-1].strip()[:200]
        raise InputError(f"model {network.name}: cannot be converted to TFLite ({told})") from error


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a `schema.ModelT`."""
    return itertools.chain.from_iterable(graph.tensors for graph in model.subgraphs)
