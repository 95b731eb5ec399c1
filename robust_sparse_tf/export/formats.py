"""The formats of exported models, by their names; this module does not need TensorFlow."""

import dataclasses

from robust_sparse_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of exported models.

    `ending` is that of the file's name. `quantization` and `sparse` are those of a TFLite file:
    how numbers are stored, and whether zeros are left out.
    """

    name: str
    ending: str
    quantization: str = ""
    sparse: bool = False

    @property
    def file_name(self) -> str:
        """The name of the exported file."""
        return f"{self.name}{self.ending}"


QUANTIZATIONS = ("fp32", "fp16", "int8", "full_int8", "int4")
_TFLITE = [
    Format(f"tflite_{quantization}" + "_sparse" * sparse, ".tflite", quantization, sparse)
    for quantization in QUANTIZATIONS
    for sparse in (False, True)
]
_OTHERS = [
    Format("saved_model", ""),
    Format("keras3", ".keras"),
    Format("onnx", ".onnx"),
    Format("packed", ".safetensors"),
]
FORMATS = {each.name: each for each in (*_OTHERS, *_TFLITE)}
"""All formats by name."""


def format_of(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: for an unknown name.
    """
    if name not in FORMATS:
        raise InputError(f"formats={name}: must be among {', '.join(FORMATS)}")
    return FORMATS[name]
