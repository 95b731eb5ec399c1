"""TensorFlow operations on sparse weights and planes, with their gradients."""

import functools
import math
from typing import Any, NamedTuple

import tensorflow as tf

from robust_sparse_tf.compute.build import BuildError, library
from robust_sparse_tf.compute.geometry import Geometry
from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.options import shown

LANES = 16
"""Images side by side."""


class Packed(NamedTuple):
    """The active weights of a layer in lists, by output and by input channel."""

    starts: tf.Tensor
    offsets: tf.Tensor
    values: tf.Tensor
    input_starts: tf.Tensor
    input_offsets: tf.Tensor
    input_values: tf.Tensor
    places: tf.Tensor


@functools.cache
def kernels() -> Any:
    """The compiled operations; compiles them at the first use.

    Raises:
        BuildError: see `library`, or if TensorFlow cannot load them.
    """
    path = library()
    try:
        return tf.load_op_library(path)
    except (tf.errors.OpError, OSError) as error:
        raise BuildError(f"sparse kernels: {path} cannot be loaded ({reason(error)})") from error


def pack(weight: tf.Tensor, mask: tf.Tensor | None, geometry: Geometry) -> Packed:
    """The active weights in lists, for `product`.

    The gradient by `weight` is zero where the mask is. With a mask of ones it is dense.

    Args:
        weight: float32, of shape `geometry.weight_shape` or, in a dense layer, [inputs, outputs].
        mask: float32 of the same shape; weights are active where it is not 0. None for all.
        geometry: geometry of the layer.

    Raises:
        BuildError: see `kernels`.
        InputError: for a weight or mask of another size or type.
    """
    for name, given in ("weight", weight), ("mask", mask):
        _require_float32(name, given)
        if given is not None and given.shape.num_elements() != math.prod(geometry.weight_shape):
            raise InputError(
                f"{name}: has shape {shown(tuple(given.shape))}; must have as many numbers as "
                f"{geometry.weight_shape}"
            )
    mask = tf.zeros([0]) if mask is None else mask
    return Packed(*kernels().robust_sparse_pack(weight, mask, geometry=geometry.numbers))


def product(
    x: tf.Tensor,
    packed: Packed,
    geometry: Geometry,
    bias: tf.Tensor | None = None,
    *,
    relu: bool = False,
) -> tf.Tensor:
    """A convolution or dense layer of the packed weights; gradients by x, weights and bias.

    Each result is summed in one order, whatever the number of threads.

    Args:
        x: planes with the geometry's inputs and border.
        packed: the weights, packed for the same geometry.
        geometry: geometry of the layer.
        bias: float32 [outputs], or None.
        relu: whether a ReLU follows.

    Returns:
        Planes with the geometry's outputs and border.

    Raises:
        InputError: for tensors of another type.
    """
    for name, given in ("x", x), ("bias", bias):
        _require_float32(name, given)
    bias = tf.zeros([0]) if bias is None else bias
    lists = packed[:6]
    return kernels().robust_sparse_product(x, bias, *lists, geometry=geometry.numbers, relu=relu)


def enter(images: tf.Tensor, border: int = 0) -> tf.Tensor:
    """Images as planes.

    Args:
        images: float32 [batch, height, width, channels], or [batch, features] as images of a pixel.
        border: border of the planes, in pixels.

    Raises:
        InputError: for images of another type.
    """
    _require_float32("images", images)
    if images.shape.rank == 2:
        images = images[:, None, None, :]
    return kernels().robust_sparse_enter(images, border=border, repeat=True)


def leave(planes: tf.Tensor, batch: int | tf.Tensor, border: int = 0) -> tf.Tensor:
    """The inverse of `enter`: images [batch, height, width, channels]."""
    return kernels().robust_sparse_leave(planes, batch, border=border)


def _require_float32(name: str, given: tf.Tensor | None) -> None:
    if given is not None and given.dtype != tf.float32:
        raise InputError(f"{name}: is {given.dtype.name}; sparse compute is in float32")


@tf.RegisterGradient("RobustSparsePack")
def _of_pack(op: Any, *gradients: tf.Tensor) -> list[tf.Tensor | None]:
    if gradients[2] is None:
        return [None, None]
    shape = tf.shape(op.inputs[0])
    return [kernels().robust_sparse_unpack(gradients[2], op.outputs[6], shape), None]


@tf.RegisterGradient("RobustSparseProduct")
def _of_product(op: Any, gradient: tf.Tensor) -> list[tf.Tensor | None]:
    x, bias, starts, offsets, values, *by_input = op.inputs
    geometry = op.get_attr("geometry")
    if op.get_attr("relu"):
        gradient = kernels().robust_sparse_gate(gradient, op.outputs[0])
    of_x = kernels().robust_sparse_by_input(gradient, *by_input, geometry=geometry)
    of_values = kernels().robust_sparse_by_weight(
        x, gradient, starts, offsets, values, geometry=geometry
    )
    of_bias = None
    if bias.shape[0] != 0:
        of_bias = kernels().robust_sparse_channel_sums(gradient, border=geometry[-1])
    return [of_x, of_bias, None, None, of_values, None, None, None]


@tf.RegisterGradient("RobustSparseEnter")
def _of_enter(op: Any, gradient: tf.Tensor) -> tf.Tensor:
    return leave(gradient, tf.shape(op.inputs[0])[0], op.get_attr("border"))


@tf.RegisterGradient("RobustSparseLeave")
def _of_leave(op: Any, gradient: tf.Tensor) -> list[tf.Tensor | None]:
    border = op.get_attr("border")
    return [kernels().robust_sparse_enter(gradient, border=border, repeat=False), None]
