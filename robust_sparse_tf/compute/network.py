"""A functional tf_keras model as a function of its packed weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.compute.ops import Packed, enter, leave, pack, product
from robust_sparse_tf.compute.plan import Step, plan
from robust_sparse_tf.options import checked


@dataclasses.dataclass
class _Value:
    """A tensor of the network: as images, as planes, or both."""

    batch: tf.Tensor
    border: int
    flat: bool = False
    images: tf.Tensor | None = None
    planes: tf.Tensor | None = None

    def as_planes(self) -> tf.Tensor:
        if self.planes is None:
            self.planes = enter(self.images, self.border)
        return self.planes

    def as_images(self) -> tf.Tensor:
        if self.images is None:
            images = leave(self.planes, self.batch, self.border)
            self.images = images[:, 0, 0, :] if self.flat else images
        return self.images


class SparseNetwork:
    """A classifier that multiplies active weights only, where it can and where it pays.

    Convolutions and dense layers of low density, ReLU, additions, flattening and global average
    pooling compute in planes, and batch normalization at inference is part of the convolution
    before it. tf_keras computes the other layers, on images. Variables are the model's own.

    Args:
        model: Sequential or functional, with one input and one output.
        masks: the mask of each kernel, by the kernel's reference (`kernel.ref()`); other kernels
            are dense.
        limit: highest density of a layer that computes with active weights only. It is compared
            with the masks now; make another network when densities have changed much.

    Raises:
        InputError: for a subclassed model, or one with several inputs or outputs.
        BuildError: if the kernels cannot be compiled.
    """

    def __init__(
        self, model: keras.Model, masks: Mapping[Any, tf.Variable], limit: float = 0.4
    ) -> None:
        limit = checked("limit", limit, float, minimum=0, maximum=1)
        self._model, self._masks = model, dict(masks)
        densities = {kernel: float(tf.reduce_mean(mask)) for kernel, mask in self._masks.items()}
        self._steps = plan(model, densities, limit)
        self._products = [(step, step.geometry) for step in self._steps if step.geometry]

    def explain(self) -> dict[str, str]:
        """By layer: "sparse", or why tf_keras computes it."""
        found = {}
        for step in self._steps:
            if step.kind == "product":
                found[step.layer.name] = "sparse"
            elif step.reason:
                found[step.layer.name] = step.reason
        for step, _ in self._products:
            if step.normalization:
                found[step.normalization.layer.name] = "sparse at inference"
        return found

    def pack(self, *, training: bool = False) -> list[Packed]:
        """The active weights, once per step; a tape around it has their gradients.

        Args:
            training: mode of the passes that use them.
        """
        packs = []
        for step, geometry in self._products:
            kernel = tf.convert_to_tensor(step.layer.kernel)
            if step.normalization and not training:
                kernel *= _scale(step.normalization.layer)
            packs.append(pack(kernel, self._masks.get(step.layer.kernel.ref()), geometry))
        return packs

    def __call__(
        self, x: tf.Tensor, packs: Sequence[Packed] | None = None, *, training: bool = False
    ) -> tf.Tensor:
        """Returns the model's output.

        Args:
            x: float32, of the model's input shape.
            packs: what `pack` returns for the same mode; None packs the weights as they are.
            training: mode of batch normalization, dropout and the like.
        """
        packs = self.pack(training=training) if packs is None else packs
        packed = {id(step): own for (step, _), own in zip(self._products, packs, strict=True)}
        first = str(id(self._model.inputs[0]))
        batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        border = next((step.borders[0] for step in self._steps if first in step.inputs), 0)
        values = {first: _Value(batch, border, x.shape.rank == 2, x)}
        for step in self._steps:
            if step.output in values:  # batch normalization inside a product
                continue
            inputs = [values[number] for number in step.inputs]
            output = step.output
            if step.kind == "product" and step.normalization and not training:
                output = step.normalization.output
            values[output] = self._value(step, inputs, packed.get(id(step)), training)
        return values[str(id(self._model.outputs[0]))].as_images()

    def _value(
        self, step: Step, inputs: list[_Value], packed: Packed | None, training: bool
    ) -> _Value:
        batch, border = inputs[0].batch, step.borders[1]
        flat = len(step.node.output_shapes) == 2
        in_planes = any(value.planes is not None for value in inputs)
        if step.kind == "product" and packed is not None and step.geometry is not None:
            relu = step.layer.activation is keras.activations.relu
            bias = _bias(step, training)
            x = inputs[0].as_planes()
            planes = product(x, packed, step.geometry, bias, relu=relu)
            return _Value(batch, border, flat, planes=planes)
        if step.kind == "same" and in_planes:
            given = [value.as_planes() for value in inputs]
            planes = tf.add_n(given) if len(given) > 1 else tf.nn.relu(given[0])
            return _Value(batch, border, flat, planes=planes)
        if step.kind == "flatten" and in_planes and inputs[0].border == 0:
            x = inputs[0].as_planes()
            planes = tf.reshape(x, [tf.shape(x)[0], 1, 1, step.node.output_shapes[1], x.shape[4]])
            return _Value(batch, border, flat, planes=planes)
        if step.kind == "mean" and in_planes:
            x, size = inputs[0].as_planes(), step.node.input_shapes[1:3]
            planes = tf.reduce_sum(x, [1, 2], keepdims=True) / float(size[0] * size[1])
            return _Value(batch, border, flat, planes=planes)
        return _Value(batch, border, flat, _call(step, inputs, training))


def _call(step: Step, inputs: list[_Value], training: bool) -> tf.Tensor:
    """A layer by tf_keras."""
    tensors: dict[str, list[tf.Tensor]] = {}
    for number, value in zip(step.inputs, inputs, strict=True):
        tensors.setdefault(number, []).append(value.as_images())
    args, kwargs = step.node.map_arguments(tensors)
    if "training" in step.node.layer._call_spec.arg_names and kwargs.get("training") is None:
        kwargs["training"] = training
    return step.node.layer(*args, **kwargs)


def _scale(layer: keras.layers.BatchNormalization) -> tf.Tensor:
    scale = tf.math.rsqrt(layer.moving_variance + layer.epsilon)
    return scale * layer.gamma if layer.scale else scale


def _bias(step: Step, training: bool) -> tf.Tensor | None:
    """The bias of a product, with the shift of batch normalization inside."""
    bias = tf.convert_to_tensor(step.layer.bias) if step.layer.use_bias else None
    if step.normalization is None or training:
        return bias
    layer = step.normalization.layer
    mean = -layer.moving_mean if bias is None else bias - layer.moving_mean
    shift = mean * _scale(layer)
    return shift + layer.beta if layer.center else shift
