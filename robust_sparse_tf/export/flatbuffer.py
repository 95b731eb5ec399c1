"""The flatbuffer of a TFLite file as Python objects."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATIONS = {number: name for name, number in vars(schema.BuiltinOperator).items()}
TYPES = {number: name for name, number in vars(schema.TensorType).items()}
"""The names of types of numbers, such as "INT4"."""


def read_model(content: bytes) -> Any:
    """The `schema.ModelT` of a file; each buffer has its bytes as `data`, uint8 [n].

    Some writers put large buffers behind the flatbuffer, which the schema's own reader leaves out.
    Damaged bytes may raise any exception.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for buffer in model.buffers:
        if buffer.data is None:
            own = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(own, np.uint8)
        else:
            buffer.data = np.asarray(buffer.data, np.uint8)
    return model


def operation_of(model: Any, operator: Any) -> str:
    """The name of an operator of a model, such as "CONV_2D"; that of a custom one has its own."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _OPERATIONS.get(number, str(number))
    return f"{name} {code.customCode}" if name == "CUSTOM" else name


def unpacked(data: np.ndarray) -> np.ndarray:
    """Numbers of 4 bits, int8: two per byte, the lower half first."""
    halves = np.stack([data & 15, data >> 4], axis=1).reshape(-1).astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8)
