"""Device profiles: the patterns and formats that a kind of device computes fast.

This module does not need TensorFlow.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from robust_sparse_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class DeviceProfile:
    """The settings for a kind of device.

    Attributes:
        method: options of the pruning method.
        formats: names of formats, see `formats.FORMATS`.
        reasons: why, a line each.
    """

    method: Mapping[str, Any]
    formats: tuple[str, ...]
    reasons: tuple[str, ...]


PROFILES: Mapping[str, DeviceProfile] = types.MappingProxyType(
    {
        "x86": DeviceProfile(
            method={"structure": "block:4x1", "conv_structure": "channels"},
            formats=("tflite_fp32_sparse",),
            reasons=(
                "dense layers in blocks of 4 inputs: TFLite has a kernel for 1x4 blocks, and none "
                "for single weights, which it stores sparse and computes dense",
                "whole channels of convolutions: TFLite has no sparse convolution on x86, so that "
                "only fewer channels are faster; compaction removes them",
                "float32: quantised files cannot be sparse with this kernel, and float16 gives NaN",
            ),
        ),
        "arm": DeviceProfile(
            method={"structure": "block:4x1", "conv_structure": "weights"},
            formats=("tflite_fp32_sparse",),
            reasons=(
                "dense layers in blocks of 4 inputs: TFLite has a kernel for 1x4 blocks",
                "single weights of convolutions: on ARM, XNNPACK computes 1x1 convolutions with at "
                "least 2/3 zeros sparsely, in networks like MobileNet",
                "float32: XNNPACK's sparse convolutions are of float32",
            ),
        ),
        "int8": DeviceProfile(
            method={"structure": "channels", "dense_last": True},
            formats=("tflite_full_int8", "tflite_int8"),
            reasons=(
                "whole channels, except of the logits: compaction makes a smaller dense network "
                "of them, which any device computes faster",
                "8-bit weights and activations: a quarter of the bytes, and faster than every "
                "sparse float32 file of small networks",
            ),
        ),
    }
)
"""All profiles by name."""


def device_profile(name: str) -> DeviceProfile:
    """The profile of a name.

    Raises:
        InputError: for an unknown name.
    """
    if name not in PROFILES:
        raise InputError(f"device_profile={name}: must be one of {', '.join(PROFILES)}")
    return PROFILES[name]
