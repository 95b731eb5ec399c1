"""The flatbuffer of a TFLite file as Python objects."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema


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
