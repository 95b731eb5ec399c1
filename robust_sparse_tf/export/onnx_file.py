"""Export to ONNX, and ONNX files as functions of images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, not_installed, reason
from robust_sparse_tf.export import float32
from robust_sparse_tf.export.examples import outputs, random_inputs, require_equal, require_numbers
from robust_sparse_tf.export.graphs import in_graphs
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.options import checked_path

_OPSET = 17
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def to_onnx(model: keras.Model, path: str) -> int:
    """Writes the stripped model as an ONNX file of float32 weights, from `images` to `logits`.

    The batch size is free unless the model's is fixed. Zeros are stored like other numbers. The
    file's outputs on random inputs are compared with the model's.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: for several inputs or outputs, a model that the converter refuses, or packages
            that are not installed.
        TrainingError: if the outputs differ.
        WriteError: naming the path, if it cannot be written.
    """
    path, network = checked_path("path", path), plain(model)
    require_numbers(network, "ONNX")
    network = float32.rebuilt(network)
    content = _convert(network)
    inputs = random_inputs(network, network.inputs[0].shape[0] or 16)
    require_equal(path, "ONNX", outputs(network, inputs), onnx_function(content)(inputs))
    with files.complete(path) as file:
        file.write(content)
    return len(content)


def onnx_function(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """An ONNX model as a function from images [n, ...] to its output in float32 [n, classes].

    A file with a fixed batch size gets the images in such batches.

    Raises:
        InputError: for other content, several inputs or outputs, or if onnxruntime is not
            installed. The function raises it for images of another shape.
    """
    return _function(_session(content))


def onnx_graph(content: bytes) -> Callable[[tf.Tensor], tf.Tensor]:
    """An ONNX model as a function of tensors, which graphs can call; has no gradient.

    See `onnx_function`.
    """
    session = _session(content)
    classes = session.get_outputs()[0].shape[-1]
    return in_graphs(_function(session), classes if isinstance(classes, int) else None)


def _session(content: bytes) -> Any:
    """The session of a model with one input of numbers, and one output."""
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed("onnxruntime", "export") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # any exception, as any byte may be wrong
        raise InputError(f"content: must be that of an ONNX file ({reason(error)})") from error
    entries, exits = session.get_inputs(), session.get_outputs()
    if len(entries) != 1 or len(exits) != 1:
        counts = f"{len(entries)} inputs and {len(exits)} outputs"
        raise InputError(f"ONNX model of {counts}: must have one of each")
    (entry,), (exit_,) = entries, exits
    if entry.type not in _TYPES or not entry.shape or not exit_.shape:
        raise InputError(f"ONNX model of inputs {entry.type} {entry.shape}: must be numbers")
    return session


def _function(session: Any) -> Callable[[np.ndarray], np.ndarray]:
    (entry,) = session.get_inputs()
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else 0

    def outputs(images: np.ndarray) -> np.ndarray:
        batch = np.resize(images, (fixed, *images.shape[1:])) if fixed else images
        (found,) = session.run(None, {entry.name: batch.astype(_TYPES[entry.type])})
        return np.asarray(found, np.float32)[: len(images)]

    def logits(images: np.ndarray) -> np.ndarray:
        images = np.asarray(images)
        if not len(images) or not _fits(images.shape[1:], entry.shape[1:]):
            raise InputError(f"images of shape {images.shape}: must be {entry.shape}, n above 0")
        size = fixed or len(images)
        parts = range(0, len(images), size)
        return np.concatenate([outputs(images[first : first + size]) for first in parts])

    return logits


def _fits(shape: tuple[int, ...], declared: list[Any]) -> bool:
    """Whether a shape is the declared one, in which texts and None are for any size."""
    return len(shape) == len(declared) and all(
        own == size or not isinstance(size, int) for own, size in zip(shape, declared, strict=True)
    )


def _convert(network: keras.Model) -> bytes:
    try:
        import tf2onnx
    except ImportError as error:
        raise not_installed("tf2onnx", "export") from error
    (symbol,) = network.inputs
    spec = tf.TensorSpec(symbol.shape, symbol.dtype, "images")
    call = tf.function(lambda images: network(images, training=False), input_signature=[spec])
    try:
        found, _ = tf2onnx.convert.from_function(call, [spec], opset=_OPSET)
    except Exception as error:  # of many kinds
        told = reason(error)
        raise InputError(f"model {network.name}: cannot be converted to ONNX ({told})") from error
    _rename_output(found.graph, "logits")
    return found.SerializeToString()


def _rename_output(graph: Any, name: str) -> None:
    """Renames the only output of an ONNX graph."""
    old = graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            for number, each in enumerate(names):
                if each == old:
                    names[number] = name
    graph.output[0].name = name
