"""Runs TFLite files as functions of images."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.export.graphs import in_graphs
from robust_sparse_tf.options import require
from robust_sparse_tf.tensors import as_array, check_types
from robust_sparse_tf.values import check_images

_BATCH = 100


def tflite_logits(
    content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO
) -> np.ndarray:
    """Logits float32 [n, classes] of a TFLite model; see `tflite_function`."""
    return tflite_function(content, resolver)(images)


def tflite_function(
    content: bytes, resolver: OpResolverType = OpResolverType.AUTO
) -> Callable[[np.ndarray], np.ndarray]:
    """A TFLite model as a function of images [n, ...], of any number of them.

    Images and logits are real numbers even if the file is quantised; its scale and zero point are
    applied. A file with a fixed batch size gets the images in such batches. Attacks run several
    times faster on what `load` returns, which graphs can call.

    Raises:
        InputError: for other files, or several inputs or outputs. The function raises it for images
            of another shape, and for fractions if the file takes whole numbers without a scale.
        RuntimeError: from the function, if the file cannot run.
    """
    require("resolver", resolver, OpResolverType)
    return _function(_Runner(content, resolver))


def tflite_graph(content: bytes) -> Callable[[tf.Tensor], tf.Tensor]:
    """A TFLite model as a function of tensors, which graphs can call; see `in_graphs`."""
    runner = _Runner(content, OpResolverType.AUTO)
    return in_graphs(_function(runner), runner.classes)


def _function(runner: "_Runner") -> Callable[[np.ndarray], np.ndarray]:
    lock = threading.Lock()  # an interpreter is not thread-safe

    def logits(images: np.ndarray) -> np.ndarray:
        images = as_array("images", images)
        check_types(images, None)
        check_images(images, None)
        own, sizes = images.shape[1:], runner.sizes
        fits = len(own) == len(sizes) and all(a in (b, -1) for a, b in zip(sizes, own, strict=True))
        if not len(images) or not fits:
            raise InputError(f"images of shape {images.shape}: must be [n, *{sizes}], n above 0")
        with lock:
            return runner(images)

    return logits


class _Runner:
    """A TFLite model, prepared for one batch size at a time.

    Another size costs little, as the interpreter keeps its packed weights.
    """

    def __init__(self, content: bytes, resolver: OpResolverType) -> None:
        try:
            self._interpreter = Interpreter(
                model_content=content, experimental_op_resolver_type=resolver, num_threads=1
            )
            # Names that are not text raise a UnicodeDecodeError, which is a ValueError.
            ends = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, TypeError) as error:
            raise InputError(f"content: must be that of a TFLite file ({reason(error)})") from error
        if any(len(details) != 1 for details in ends):
            counts = "{} inputs and {} outputs".format(*map(len, ends))
            raise InputError(f"TFLite model of {counts}: must have one of each")
        (self._entry,), (self._exit,) = ends
        self._fixed, *self.sizes = map(int, self._entry["shape_signature"])
        self.classes = int(self._exit["shape"][-1])
        self._shape: tuple[int, ...] | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        size = self._fixed if self._fixed > 0 else _BATCH
        parts = range(0, len(images), size)
        return np.concatenate([self._outputs(images[first : first + size]) for first in parts])

    def _outputs(self, batch: np.ndarray) -> np.ndarray:
        count = len(batch)
        if self._fixed > count:  # the last batch, padded
            batch = np.resize(batch, (self._fixed, *batch.shape[1:]))
        if batch.shape != self._shape:
            if self._fixed < 1:
                self._interpreter.resize_tensor_input(self._entry["index"], batch.shape)
            self._interpreter.allocate_tensors()
            self._shape = batch.shape
        self._interpreter.set_tensor(self._entry["index"], _quantised(batch, self._entry))
        self._interpreter.reset_all_variables()  # these hold the states of recurrent layers
        self._interpreter.invoke()
        return _real(self._interpreter.get_tensor(self._exit["index"]), self._exit)[:count]


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
