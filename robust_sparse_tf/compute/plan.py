"""Which layers of a functional model compute with active weights only, and the borders between."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras as keras

from robust_sparse_tf.compute.geometry import Geometry
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import require_single

_RELU = keras.activations.relu


@dataclasses.dataclass
class Step:
    """One call of a layer.

    Args:
        node: the call.
        kind: "product", "same" (entry by entry, the same in planes), "flatten", "mean" (over
            pixels), or "other" (by tf_keras, on images).
        layer: the layer, without a wrapper.
        inputs: numbers of the tensors that go in.
        output: number of the tensor that comes out.
        geometry: of a product.
        normalization: the step of batch normalization that follows, if a product can include it at
            inference.
        reason: why the layer is not computed in planes.
        borders: borders of the planes of the inputs and the output.
    """

    node: Any
    kind: str
    layer: keras.layers.Layer
    inputs: list[str]
    output: str
    geometry: Geometry | None = None
    normalization: Step | None = None
    reason: str = ""
    borders: tuple[int, int] = (0, 0)


def plan(model: keras.Model, densities: Mapping[Any, float], limit: float) -> list[Step]:
    """The calls of all layers in order, with borders that suit the layers on both sides.

    Args:
        model: functional or Sequential, with one input and one output.
        densities: density of each masked kernel, by the variable's reference.
        limit: highest density of a layer that computes with active weights only.

    Raises:
        InputError: for a subclassed model, or one with several inputs or outputs.
    """
    require_single(model)
    steps = [_step(node, densities, limit) for node in _nodes(model)]
    _find_normalizations(steps, str(id(model.outputs[0])))
    _set_borders(steps)
    return steps


def _nodes(model: keras.Model) -> Iterator[Any]:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def _step(node: Any, densities: Mapping[Any, float], limit: float) -> Step:
    layer = getattr(node.layer, "layer", node.layer)
    inputs = [str(number) for number in node.flat_input_ids]
    if len(node.flat_output_ids) > 1:
        raise InputError(f"layer {layer.name}: has several outputs; must have one")
    step = Step(node, "other", layer, inputs, str(node.flat_output_ids[0]))
    if _is_same(layer, node):
        step.kind = "same"
    elif type(layer) is keras.layers.Flatten and layer.data_format == "channels_last":
        step.kind = "flatten"
    elif type(layer) is keras.layers.GlobalAveragePooling2D and not layer.keepdims:
        step.kind = "mean" if layer.data_format == "channels_last" else "other"
    elif type(layer) in (keras.layers.Conv2D, keras.layers.Dense):
        density = densities.get(layer.kernel.ref(), 1.0)
        step.reason = _obstacle(layer, node.input_shapes)
        if not step.reason and density > limit:
            step.reason = f"density {density:.3g} is above {limit:g}"
        if not step.reason:
            try:
                step.geometry, step.kind = _geometry(layer, node.input_shapes), "product"
            except InputError as error:
                step.reason = str(error)
    else:
        step.reason = f"{type(layer).__name__} is computed by tf_keras"
    return step


def _is_same(layer: keras.layers.Layer, node: Any) -> bool:
    """Whether a layer works entry by entry, keeps zeros, and has no other arguments."""
    if type(layer) is keras.layers.ReLU:
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return bool(plain)
    if type(layer) is keras.layers.Activation:
        return layer.activation is _RELU
    # Shapes may differ by broadcasting.
    return type(layer) is keras.layers.Add and len({*node.input_shapes}) == 1


def _obstacle(layer: keras.layers.Layer, shape: Any) -> str:
    """Why the kernels cannot compute a convolution or dense layer; "" if they can."""
    if layer.compute_dtype != "float32":
        return f"it computes in {layer.compute_dtype}"
    if layer.activity_regularizer is not None:
        return "it has an activity regularizer"
    if layer.activation not in (keras.activations.linear, _RELU):
        return f"its activation is {getattr(layer.activation, '__name__', layer.activation)}"
    if None in shape[1:]:
        return "the size of its inputs is not known"
    if type(layer) is keras.layers.Dense:
        return "" if len(shape) == 2 else "its inputs have several dimensions"
    if layer.data_format != "channels_last" or layer.padding not in ("same", "valid"):
        return f"it has data_format={layer.data_format}, padding={layer.padding}"
    if layer.groups != 1 or set(layer.dilation_rate) != {1} or len(set(layer.strides)) != 1:
        return (
            f"it has groups={layer.groups}, dilation_rate={layer.dilation_rate}, "
            f"strides={layer.strides}"
        )
    return ""


def _geometry(layer: keras.layers.Layer, shape: Any) -> Geometry:
    if type(layer) is keras.layers.Dense:
        return Geometry.dense(*layer.kernel.shape)
    same = layer.padding == "same"
    return Geometry.convolution(tuple(shape[1:]), tuple(layer.kernel.shape), layer.strides[0], same)


def _find_normalizations(steps: list[Step], last: str) -> None:
    """Finds batch normalization that alone follows a linear product."""
    readers: dict[str, list[Step]] = {}
    for step in steps:
        for number in step.inputs:
            readers.setdefault(number, []).append(step)
    for step in steps:
        if step.kind != "product" or step.output == last:
            continue
        following = readers.get(step.output, [])
        if len(following) != 1 or step.layer.activation is _RELU:
            continue
        layer = following[0].layer
        always = "training" in following[0].node.call_kwargs
        if type(layer) is keras.layers.BatchNormalization and _axis(layer) == -1 and not always:
            step.normalization = following[0]


def _axis(layer: keras.layers.BatchNormalization) -> int:
    rank = layer.input_spec.ndim
    (axis,) = layer.axis if len(layer.axis) == 1 else (0,)
    return int(axis - rank if axis > 0 else axis)


def _set_borders(steps: list[Step]) -> None:
    """Gives each tensor one border: the largest that a layer needs which reads or writes it."""
    tied: dict[str, str] = {}

    def root(number: str) -> str:
        while number in tied:
            number = tied[number]
        return number

    for step in steps:
        following = step.normalization
        pairs = [(step.output, following.output)] if following else []
        if step.kind == "same":
            pairs = [(number, step.output) for number in step.inputs]
        for one, other in pairs:
            if root(one) != root(other):
                tied[root(one)] = root(other)
    borders: dict[str, int] = {}
    for step in steps:
        if step.geometry:
            needs = step.geometry.least_input_border, step.geometry.least_output_border
            for number, need in zip((step.inputs[0], step.output), needs, strict=True):
                borders[root(number)] = max(borders.get(root(number), 0), need)
    for step in steps:
        found = [borders.get(root(number), 0) for number in (step.inputs[0], step.output)]
        if step.geometry:
            step.geometry = step.geometry.with_borders(*found)
        step.borders = found[0], found[1]
