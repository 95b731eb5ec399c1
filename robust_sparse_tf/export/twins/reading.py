"""Reads a TFLite file into plain arrays and operations."""

import dataclasses
from typing import Any

import numpy as np

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.flatbuffer import TYPES, operation_of, read_model, unpacked
from robust_sparse_tf.export.twins.sparse import decoded

_DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT4": np.int8,  # one number per entry once it is unpacked
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a file.

    Attributes:
        shape: its shape, for the batch size that the file names.
        dtype: type of its values.
        bits: bits per value, for the range of whole numbers.
        scale: float32 [1] or, for one per entry of `axis`, [n]; empty unless it is quantised.
        zero: int64, shaped as `scale`: the whole numbers that stand for 0.
        axis: axis of the scales.
        stored: the values of a constant as stored, dense; None for an activation.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: int
    scale: np.ndarray
    zero: np.ndarray
    axis: int
    stored: np.ndarray | None

    @property
    def is_quantised(self) -> bool:
        """Whether whole numbers stand for real ones."""
        return self.scale.size > 0

    @property
    def limits(self) -> tuple[int, int]:
        """The minimum and maximum whole number."""
        low = 0 if self.dtype.kind == "u" else -(2 ** (self.bits - 1))
        return low, low + 2**self.bits - 1

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """Shapes one value per scale so that they fit the tensor."""
        shape = [1] * len(self.shape)
        if values.size > 1:
            shape[self.axis] = values.size
        return values.reshape(shape)

    def numbers(self) -> np.ndarray:
        """The whole numbers of a quantised constant, counted from the zero point: int64."""
        return self.values.astype(np.int64) - self._spread(self.zero)

    def real(self) -> np.ndarray:
        """The values of a constant: float32 if they stand for real numbers."""
        if self.is_quantised:
            return self.numbers().astype(np.float32) * self._spread(self.scale)
        return self.values.astype(np.float32) if self.dtype.kind == "f" else self.values

    @property
    def values(self) -> np.ndarray:
        """The values of a constant as stored.

        Raises:
            InputError: for an activation.
        """
        if self.stored is None:
            raise InputError("holds no values where a constant must be")
        return self.stored


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of a file.

    Attributes:
        name: its name in the schema of TFLite, such as CONV_2D.
        inputs: numbers of its inputs; -1 for one that is left out.
        output: number of its output.
        options: its options, see the schema; None if it has none.
    """

    name: str
    inputs: tuple[int, ...]
    output: int
    options: Any


@dataclasses.dataclass(frozen=True)
class Graph:
    """The network of a file.

    Attributes:
        tensors: its tensors; operations name them by number.
        operations: its operations, in order.
        input: number of its input.
        output: number of its output.
        batch: its only batch size; 0 for any.
    """

    tensors: list[Tensor]
    operations: list[Operation]
    input: int
    output: int
    batch: int

    def output_step(self) -> float:
        """The step between two values of the output; 0 if they are real numbers."""
        sources = {each.output: each for each in self.operations}
        number = self.output
        while number in sources and sources[number].name in ("DEQUANTIZE", "RESHAPE"):
            number = sources[number].inputs[0]
        tensor = self.tensors[number]
        return float(tensor.scale[0]) if tensor.is_quantised else 0.0

    def quantises_on_the_fly(self) -> bool:
        """Whether a kernel is quantised and its input is not."""
        pairs = [
            [self.tensors[number] for number in each.inputs[:2]]
            for each in self.operations
            if each.name in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
        ]
        return any(kernel.is_quantised and not x.is_quantised for x, kernel in pairs)


def read(content: bytes) -> Graph:
    """Reads a file of one input and one output; constants of any encoding become dense.

    Raises:
        InputError: for types of numbers, scales or kinds of operations that are not supported.
        Exception: of any type for a damaged file.
    """
    model = read_model(content)
    (graph,) = model.subgraphs[:1]
    tensors = [_tensor(each, model.buffers[each.buffer].data) for each in graph.tensors]
    operations: list[Operation] = []
    for each in graph.operators:
        operation = _operation(each, operation_of(model, each))
        if not _is_folded(operation, tensors):
            operations.append(operation)
    entry = graph.tensors[graph.inputs[0]]
    signature = entry.shape if entry.shapeSignature is None else entry.shapeSignature
    (entry_number,), (exit_number,) = graph.inputs, graph.outputs
    return Graph(tensors, operations, entry_number, exit_number, max(0, int(signature[0])))


def _tensor(given: Any, data: np.ndarray) -> Tensor:
    name = TYPES.get(given.type, str(given.type))
    if name not in _DTYPES:
        raise InputError(f"a tensor of {name}: must be of {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[name])
    shape = () if given.shape is None else tuple(int(size) for size in given.shape)
    scale, zero, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    found = given.quantization
    if found is not None and found.details is not None:
        raise InputError("scales per block: must be per tensor or channel")
    if found is not None and found.scale is not None and len(found.scale):
        scale = np.asarray(found.scale, np.float32)
        zero = np.broadcast_to(np.asarray(found.zeroPoint, np.int64), scale.shape)
        axis = int(found.quantizedDimension)
    stored = None
    if len(data):
        stored = _stored(data, name, dtype, shape, given.sparsity)
    return Tensor(
        shape, dtype, 4 if name == "INT4" else 8 * dtype.itemsize, scale, zero, axis, stored
    )


def _stored(
    data: np.ndarray, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], sparsity: Any
) -> np.ndarray:
    values = unpacked(data) if name == "INT4" else data.view(dtype)
    if sparsity is not None:
        return decoded(values, shape, sparsity)
    return values[: int(np.prod(shape))].reshape(shape)


def _operation(given: Any, name: str) -> Operation:
    inputs = () if given.inputs is None else tuple(int(each) for each in given.inputs)
    return Operation(name, inputs, int(given.outputs[0]), given.builtinOptions)


def _is_folded(operation: Operation, tensors: list[Tensor]) -> bool:
    """Whether the output was known, and is now a constant: decoding, or casting of constants."""
    if operation.name not in ("DENSIFY", "DEQUANTIZE"):
        return False
    source, target = tensors[operation.inputs[0]], tensors[operation.output]
    if source.stored is None:
        return False
    stored = source.stored if operation.name == "DENSIFY" else source.real()
    tensors[operation.output] = dataclasses.replace(target, stored=stored)
    return True
