"""The combinations of quantisation, encoding and pattern of zeros that TFLite computes right.

Each row was tried with ai_edge_litert 2.3, with XNNPACK and without; tests show that the reasons
are true. The converter looks at each layer by itself, and so does the table: a network may be
stored sparse if each of its layers may.
"""

import dataclasses

import tf_keras as keras

from robust_sparse_tf.export.formats import QUANTIZATIONS
from robust_sparse_tf.export.patterns import Pattern, patterns_of
from robust_sparse_tf.options import checked


@dataclasses.dataclass(frozen=True)
class Combination:
    """A row of the table, for one layer; the first row that fits it counts.

    Attributes:
        quantization: one of `formats.QUANTIZATIONS`.
        encoding: "dense", "sparse" or "any".
        patterns: kinds of patterns, see `patterns.PATTERNS`; none stands for all.
        multiple: what the number of inputs is a multiple of.
        reason: why the combination is refused; "" if it is allowed.
        kernels: "matrix" for those of fully connected layers, "convolution", or "any".
    """

    quantization: str
    encoding: str
    patterns: tuple[str, ...] = ()
    multiple: int = 1
    reason: str = ""
    kernels: str = "any"

    def fits(self, pattern: Pattern) -> bool:
        """Whether a sparse layer of this pattern is one of the row."""
        kind = "matrix" if pattern.matrix else "convolution"
        return (
            pattern.kind in (self.patterns or (pattern.kind,))
            and pattern.inputs % self.multiple == 0
            and self.kernels in (kind, "any")
        )


_BLOCKS = ("block:4x1", "block:16x1")
_CUT = "the converter cuts off the last inputs, which are no whole block of "
_NO_KERNEL = (
    "XNNPACK does not run fully connected layers of 8 bits whose single weights are stored sparse"
)
_UNKNOWN = "ai-edge-quantizer leaves sparse-encoded layers in float32 without an error, or stops"
_NO_WAY = _UNKNOWN + "; of the converter's own, XNNPACK runs none right"

COMBINATIONS = (
    *(Combination(quantization, "dense") for quantization in QUANTIZATIONS),
    # Layers with few zeros are stored dense beside sparse ones.
    *(Combination(quantization, "sparse", ("dense",)) for quantization in QUANTIZATIONS[:4]),
    # Convolutions have no kernel of blocks: their weights are stored one by one.
    Combination("fp32", "sparse", kernels="convolution"),
    Combination("fp32", "sparse", ("random", "2:4")),
    Combination("fp32", "sparse", _BLOCKS, multiple=4),
    Combination("fp32", "sparse", _BLOCKS, reason=_CUT + "4"),
    Combination("fp16", "sparse", kernels="convolution"),
    Combination("fp16", "sparse", ("random", "2:4")),
    Combination("fp16", "sparse", _BLOCKS, reason="blocks of float16 weights compute NaN"),
    Combination("int8", "sparse", reason=_NO_WAY),
    Combination("full_int8", "sparse", kernels="convolution"),
    Combination("full_int8", "sparse", ("random", "2:4", "block:4x1"), reason=_NO_KERNEL),
    Combination("full_int8", "sparse", ("block:16x1",), multiple=16),
    Combination("full_int8", "sparse", ("block:16x1",), reason=_CUT + "16"),
    Combination("int4", "sparse", reason=_UNKNOWN),
)
"""The table."""


def refusal(quantization: str, sparse: bool, network: keras.Model) -> str:
    """The reason why a network cannot be written in this way; "" if it can.

    Args:
        quantization: one of `formats.QUANTIZATIONS`.
        sparse: whether the file is sparse-encoded.
        network: stripped network.

    Raises:
        InputError: for an unknown quantisation.
    """
    checked("quantization", quantization, str, choices=QUANTIZATIONS)
    if not sparse:
        return ""
    found = patterns_of(network)
    for name, pattern in found.items():
        if reason := _row(quantization, pattern).reason:
            return f"layer {name} ({pattern.kind}, {pattern.inputs} inputs): {reason}"
    if all(pattern.kind == "dense" for pattern in found.values()):
        return "no layer has enough zeros (30 %) to be smaller when stored sparse"
    return ""


def _row(quantization: str, pattern: Pattern) -> Combination:
    """The first row for a layer that may be stored sparse."""
    rows = (row for row in COMBINATIONS if row.encoding == "sparse")
    return next(row for row in rows if row.quantization == quantization and row.fits(pattern))
