"""Counts multiply-accumulates of a forward pass."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras as keras

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
"""All convolutions of tf_keras; transposed ones derive from the first three."""

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def multiply_accumulates(model: keras.Model, active: Mapping[int, int]) -> tuple[int, int] | None:
    """Multiply-accumulates of one forward pass of one example: of active weights, and of all.

    Both are sums over the kernels of dense layers and convolutions,

        weights of the kernel x positions at which it is applied,

    and a layer that is called twice counts twice. The positions of a convolution are those of its
    output (height x width of a Conv2D; for both kernels of a separable one); of a transposed
    convolution, those of its input; of a dense layer, the vectors of its output, which is one for
    inputs [batch, features]. Weights that meet the zeros of padding count, too. Biases, embeddings
    and all other layers (normalization, pooling, recurrent layers, attention, subclassed models)
    count as 0. As in "Rigging the Lottery" (Evci et al., 2020), a layer's cost falls with its
    density.

    Args:
        model: Sequential or functional, wrapped or not.
        active: number of active weights by the `id` of a kernel's variable; others count in full.

    Returns:
        (of active weights, of all), or None if the shape of an input is unknown.
    """
    kept = whole = 0
    for layer, node in _calls(model):
        positions = _positions(layer, node)
        if positions is None:
            return None
        for kernel in _kernels(layer):
            size = kernel.shape.num_elements()
            kept += active.get(id(kernel), size) * positions
            whole += size * positions
    return kept, whole


def _calls(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, Any]]:
    """The dense layers and convolutions of a forward pass, with tf_keras' node of each call."""
    for nodes in getattr(model, "_nodes_by_depth", {}).values():
        for node in nodes:
            layer = node.layer
            while isinstance(layer, keras.layers.Wrapper):
                layer = layer.layer
            if isinstance(layer, keras.Model):
                yield from _calls(layer)
            elif isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS)):
                yield layer, node


def _positions(layer: keras.layers.Layer, node: Any) -> int | None:
    """The number of positions at which a call applies the layer's kernels."""
    places = list(node.input_shapes if isinstance(layer, _TRANSPOSED) else node.output_shapes)
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    del places[-1 - layer.rank if channels_first else -1], places[0]
    return None if None in places else math.prod(places)


def _kernels(layer: keras.layers.Layer) -> list[Any]:
    found = [getattr(layer, name, None) for name in _KERNELS]
    return [kernel for kernel in found if kernel is not None]
