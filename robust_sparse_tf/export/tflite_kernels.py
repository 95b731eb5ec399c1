"""The kernels in TFLite files, as they are stored: numbers or codes, dense or sparse."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from robust_sparse_tf.export.flatbuffer import TYPES, operation_of, read_model, unpacked
from robust_sparse_tf.export.reading import readable, tflite_content
from robust_sparse_tf.options import checked_path

_OPERATIONS = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "BATCH_MATMUL",
    "GATHER",
    "EMBEDDING_LOOKUP",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
)
_UNPACKING = ("DENSIFY", "DEQUANTIZE")
_TYPES = {"FLOAT32": "<f4", "FLOAT16": "<f2", "INT8": "i1", "UINT8": "u1", "INT16": "<i2"}


class StoredKernel(NamedTuple):
    """A kernel of an operation.

    Args:
        output: name of the operation's first output.
        operation: its name, such as "CONV_2D".
        size: number of weights.
        values: what is stored: floats, or codes minus their zero point, flat. Weights that a sparse
            encoding leaves out are zero.
    """

    output: str
    operation: str
    size: int
    values: np.ndarray

    @property
    def active(self) -> int:
        """The number of weights that are not zero."""
        return int(np.count_nonzero(self.values))


def tflite_kernels(path: str) -> list[StoredKernel]:
    """Reads the kernels of a TFLite file, in the order of its operations.

    Raises:
        InputError: for anything else than a TFLite file, or a damaged one.
    """
    path = checked_path("path", path)
    with readable(path):
        model = read_model(tflite_content(path))
        return [kernel for graph in model.subgraphs for kernel in _of_graph(model, graph)]


def _of_graph(model: Any, graph: Any) -> list[StoredKernel]:
    sources = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if operation_of(model, operator) in _UNPACKING
    }
    found = []
    for operator in graph.operators:
        if operation_of(model, operator) not in _OPERATIONS:
            continue
        output = graph.tensors[operator.outputs[0]].name.decode()
        for index in map(int, operator.inputs):
            while index in sources:
                index = sources[index]
            if index < 0:  # an input that is left out
                continue
            tensor = graph.tensors[index]
            values = _values(model, tensor)
            if values is not None:
                size = int(np.prod(tensor.shape, dtype=np.int64))
                found.append(StoredKernel(output, operation_of(model, operator), size, values))
    return found


def _values(model: Any, tensor: Any) -> np.ndarray | None:
    """The stored values of a constant with at least two dimensions; None for other tensors."""
    data, kind = model.buffers[tensor.buffer].data, TYPES.get(tensor.type, "")
    if len(data) == 0 or tensor.shape is None or len(tensor.shape) < 2:
        return None
    if kind == "INT4":
        return unpacked(data)[: int(np.prod(tensor.shape, dtype=np.int64))]
    if kind not in _TYPES:
        return None
    values = data.view(_TYPES[kind])
    zeros = getattr(tensor.quantization, "zeroPoint", None)
    if values.dtype.kind == "f" or zeros is None or not np.any(zeros):
        return values
    return values.astype(np.int64) - int(zeros[0])
