"""Runs TFLite files as functions of images."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.options import require
from robust_sparse_tf.tensors import as_array, check_types
from robust_sparse_tf.values import check_images

_BATCH = 100
_KEPT = 4  # cached batch sizes, each with a copy of the weights


def tflite_logits(
    content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO
) -> np.ndarray:
    """Logits float32 [n, classes] of a TFLite model; see `tflite_function`."""
    return tflite_function(content, resolver)(images)


def tflite_function(
    content: bytes, resolver: OpResolverType = OpResolverType.AUTO
) -> Callable[[np.ndarray], np.ndarray]:
    """A TFLite model as a function of images [n, ...]; batch sizes are prepared once.

    Images and logits are real numbers even if the file is quantised; its scale and zero point are
    applied. A file with a fixed batch size gets the images in such batches.

    Raises:
        InputError: for other files, or several inputs or outputs. The function raises it for images
            of another shape, and for fractions if the file takes whole numbers without a scale.
    """
    require("resolver", resolver, OpResolverType)
    lock = threading.Lock()  # an interpreter is not thread-safe
    entry, exit_ = _ends(content)
    fixed, *sizes = map(int, entry["shape_signature"])
    size = fixed if fixed > 0 else _BATCH

    @functools.lru_cache(maxsize=_KEPT)
    def prepared(shape: tuple[int, ...]) -> Interpreter:
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=resolver, num_threads=1
        )
        if fixed < 1:
            interpreter.resize_tensor_input(entry["index"], shape)
        interpreter.allocate_tensors()
        return interpreter

    def outputs(batch: np.ndarray) -> np.ndarray:
        count = len(batch)
        if fixed > count:  # the last batch, padded
            batch = np.resize(batch, (fixed, *batch.shape[1:]))
        interpreter = prepared(batch.shape)
        interpreter.set_tensor(entry["index"], _quantised(batch, entry))
        interpreter.reset_all_variables()  # these hold the states of recurrent layers
        interpreter.invoke()
        return _real(interpreter.get_tensor(exit_["index"]), exit_)[:count]

    def logits(images: np.ndarray) -> np.ndarray:
        images = as_array("images", images)
        check_types(images, None)
        check_images(images, None)
        own = tuple(images.shape[1:])
        fits = len(own) == len(sizes) and all(a in (b, -1) for a, b in zip(sizes, own, strict=True))
        if not len(images) or not fits:
            raise InputError(f"images of shape {images.shape}: must be [n, *{sizes}], n above 0")
        with lock:
            parts = range(0, len(images), size)
            return np.concatenate([outputs(images[first : first + size]) for first in parts])

    return logits


def _ends(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The interpreter's details of a file's only input and output."""
    try:
        interpreter = Interpreter(model_content=content)
    except (ValueError, TypeError) as error:
        raise InputError(f"content: must be that of a TFLite file ({reason(error)})") from error
    ends = interpreter.get_input_details(), interpreter.get_output_details()
    if any(len(details) != 1 for details in ends):
        counts = "{} inputs and {} outputs".format(*map(len, ends))
        raise InputError(f"TFLite model of {counts}: must have one of each")
    return ends[0][0], ends[1][0]


def _quantised(batch: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Converts real numbers to the input type of a file."""
    dtype, (scale, zero) = details["dtype"], details["quantization"]
    if np.issubdtype(dtype, np.floating):
        return batch.astype(dtype)
    whole = np.round(batch.astype(np.float64) / scale + zero) if scale else batch
    if not scale and (batch != np.round(batch)).any():
        raise InputError(f"TFLite model of {np.dtype(dtype)} inputs: needs whole numbers")
    return np.clip(whole, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def _real(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Converts the output of a file to float32."""
    scale, zero = details["quantization"]
    values = values.astype(np.float32)
    return (values - np.float32(zero)) * np.float32(scale) if scale else values
