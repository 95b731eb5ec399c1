"""Interval bound propagation: boxes around the outputs of each layer, from a ball of inputs.

"On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models" (Gowal et
al., 2018), section 3. All bounds hold up to the rounding of float32.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball, norms
from robust_sparse_tf.bounds.inputs import in_range
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.layers import BinaryLogits, ParameterFreeShortcut
from robust_sparse_tf.models.network import require_single
from robust_sparse_tf.options import require
from robust_sparse_tf.tensors import check_shape

DUAL = {norm: norms.ORDERS[dual] for norm, dual in norms.DUAL.items()}
"""Orders of the dual norms."""

Apply: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
AFFINE = (keras.layers.Dense, keras.layers.Conv2D)
"""Layers with a kernel and, optionally, an activation."""

RESHAPING = (
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Dropout,
    ParameterFreeShortcut,
    BinaryLogits,
)
"""Layers that move entries, drop them or add zeros."""

SCALING = (
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
)
"""Layers that are affine at inference, entry by entry."""

POOLING = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
)

_RISING = (
    *RESHAPING,
    *POOLING,
    keras.layers.Add,
    keras.layers.Concatenate,
)
_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")  # all are monotone


class BallImage(NamedTuple):
    """The image of an l2 or l1 ball under the first layers, while all are affine per entry."""

    centre: tf.Tensor
    """Image of the clean inputs: [batch, ...]."""
    scale: tf.Tensor
    """How much an entry changes when its input changes by 1, at least 0: [1, ...]."""
    norm: str
    radius: float | tf.Tensor


class Box(NamedTuple):
    """The minimum and maximum value of each entry: float32 [batch, ...]."""

    low: tf.Tensor
    high: tf.Tensor
    ball: BallImage | None = None
    clean: tf.Tensor | None = None
    """In training, what the clean inputs become in training mode."""


class Step(NamedTuple):
    """One call of a layer."""

    layer: keras.layers.Layer
    inputs: list[Box]
    output: Box
    inside: Box | None = None
    """What the layer's activation is applied to, if it has one."""


def input_box(x: tf.Tensor, ball: Ball) -> Box:
    """The ball around inputs, [batch, ...] in its range, as a box.

    Raises:
        InputError: for inputs outside the range, for which the box would be empty.
    """
    require("ball", ball, Ball)
    x = in_range(x, ball.limits)
    low, high = tf.maximum(x - ball.epsilon, ball.low), tf.minimum(x + ball.epsilon, ball.high)
    # In linf the ball is the box.
    if ball.norm == "linf":
        return Box(low, high)
    return Box(low, high, BallImage(x, tf.ones_like(x[:1]), ball.norm, ball.epsilon))


def propagate(model: keras.Model, box: Box) -> list[Step]:
    """The calls of all layers in order of evaluation; the last one returns the logits.

    With `clean` inputs in the box, the pass is also the network's forward pass in training mode,
    which moves running averages. Batch normalization then has the statistics of the clean batch on
    bounds, too, as in "Fast Certified Robust Training with Short Warmup" (Shi et al., 2021, section
    3.2, https://arxiv.org/abs/2103.17268); other layers' bounds are those at inference.

    Raises:
        InputError: naming a layer that is not supported, or is called in training mode.
    """
    require_single(model)
    check_shape(box.low, model.input_shape)
    boxes = {str(id(model.inputs[0])): box}
    steps: list[Step] = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            _require_inference(node)
            inputs = [boxes[number] for number in node.flat_input_ids]
            if isinstance(node.layer, keras.Model):
                steps += propagate(node.layer, inputs[0])
            else:
                layer = getattr(node.layer, "layer", node.layer)  # inside a wrapper with masks
                steps.append(step_of(layer, inputs))
            boxes[node.flat_output_ids[0]] = steps[-1].output
    last = boxes[str(id(model.outputs[0]))]
    # The output of the model may not be the last one computed.
    return sorted(steps, key=lambda step: step.output is last)


def _require_inference(node: Any) -> None:
    """Refuses calls of layers in training mode, such as dropout that is always on."""
    named = dict(zip(node.layer._call_spec.arg_names, node.call_args, strict=False))
    training = (named | node.call_kwargs).get("training")
    if training is not None and training is not False:
        raise InputError(
            f"layer {node.layer.name}: is called with training={training}; bounds are of layers at "
            "inference"
        )


def affine_parts(layer: keras.layers.Layer) -> tuple[Apply, Callable[[tf.Tensor], tf.Tensor]]:
    """Splits a dense layer or convolution: (inputs, kernel) -> outputs, and adding the bias."""
    if isinstance(layer, keras.layers.Dense):
        apply = tf.linalg.matmul
        add = (lambda y: y + layer.bias) if layer.use_bias else (lambda y: y)
    else:
        first = "NCHW" if layer.data_format == "channels_first" else "NHWC"
        apply = layer.convolution_op
        add = (lambda y: tf.nn.bias_add(y, layer.bias, first)) if layer.use_bias else (lambda y: y)
    return apply, add


def kernel_of(layer: keras.layers.Layer) -> tf.Tensor:
    """The kernel of a dense layer or convolution as one group, for `affine_parts`.

    Without oneDNN's instructions TensorFlow refuses several groups in graphs.
    """
    groups = getattr(layer, "groups", 1)
    if groups == 1:
        return layer.kernel
    inputs, outputs = layer.kernel.shape[-2:]
    group_of = [tf.repeat(tf.range(groups), size) for size in (inputs, outputs // groups)]
    own = tf.cast(group_of[0][:, None] == group_of[1], layer.kernel.dtype)
    return tf.tile(layer.kernel, [1, 1, groups, 1]) * own


class LinearEnd(NamedTuple):
    """The last linear part of a network, from its features to the logits."""

    before: list[Step]
    features: Box
    kernel: tf.Tensor
    """[features, classes]."""
    bias: tf.Tensor
    """[classes]."""

    def differences(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Weights [batch, features, classes] and biases of the label's logit minus each other.

        They merge the last layer and the subtraction after it into one layer.
        """
        weights = tf.gather(self.kernel, y, axis=1)  # [features, batch]
        weights = tf.transpose(weights)[:, :, None] - self.kernel[None]
        return weights, tf.gather(self.bias, y)[:, None] - self.bias[None]


def linear_end(steps: list[Step]) -> LinearEnd | None:
    """The last layer of a network, if it is dense without activation; otherwise None."""
    *before, last = steps
    binary = type(last.layer) is BinaryLogits
    if binary and before:
        *before, last = before
    layer = last.layer
    if type(layer) is not keras.layers.Dense or activation_of(layer) != "linear":
        return None
    kernel, bias = layer.kernel, layer.bias if layer.use_bias else tf.zeros(layer.units)
    if binary:
        kernel, bias = steps[-1].layer(kernel), steps[-1].layer(bias)
    return LinearEnd(before, last.inputs[0], kernel, bias)


def activation_of(layer: keras.layers.Layer) -> str:
    """The name of a layer's activation.

    Raises:
        InputError: for one that is not monotone, such as softmax.
    """
    for name in _ACTIVATIONS:
        if layer.activation is keras.activations.get(name):
            return name
    name = getattr(layer.activation, "__name__", layer.activation)
    raise InputError(
        f"layer {layer.name}: activation {name} is not supported, only {', '.join(_ACTIVATIONS)}"
    )


def step_of(layer: keras.layers.Layer, inputs: list[Box], within: Box | None = None) -> Step:
    """The call of a layer.

    Args:
        layer: not a wrapper.
        inputs: the boxes of its inputs.
        within: a box that is known to hold what the activation is applied to.

    Raises:
        InputError: for a layer that is not supported.
    """
    if layer.compute_dtype != "float32":
        raise InputError(
            f"layer {layer.name}: computes in {layer.compute_dtype}; bounds are of networks in "
            "float32"
        )
    inside = _inside(layer, inputs[0])
    if inside is None:
        output = _bound(layer, inputs)
    else:
        if within is not None:
            low, high = tf.maximum(inside.low, within.low), tf.minimum(inside.high, within.high)
            inside = inside._replace(low=low, high=high)
        output = _activated(layer, inside)
    values = [box.clean for box in inputs if box.clean is not None]
    clean = call(layer, values, training=True) if values else None
    return Step(layer, inputs, output._replace(clean=clean), inside)


def _inside(layer: keras.layers.Layer, box: Box) -> Box | None:
    kind = type(layer)
    if kind in AFFINE:
        activation_of(layer)  # refuses those that are not supported
        return _affine(layer, box)
    activates = kind is keras.layers.ReLU or (
        kind is keras.layers.Activation and activation_of(layer)
    )
    return box if activates else None


def _activated(layer: keras.layers.Layer, box: Box) -> Box:
    ends = box.low, box.high
    if type(layer) is keras.layers.ReLU:
        return Box(*(layer(end) for end in ends))
    activation = keras.activations.get(activation_of(layer))
    return Box(*(activation(end) for end in ends))


def _bound(layer: keras.layers.Layer, inputs: list[Box]) -> Box:
    kind = type(layer)
    if kind in _RISING:
        low, high = (call(layer, [box[end] for box in inputs]) for end in (0, 1))
        ball = inputs[0].ball
        if ball is None or kind not in RESHAPING:
            return Box(low, high)
        moved = ball._replace(centre=call(layer, [ball.centre]), scale=call(layer, [ball.scale]))
        return Box(low, high, moved)
    if kind in SCALING:
        scale = scaling(layer, inputs[0].clean)
        ends = [scale(inputs[0][end]) for end in (0, 1)]
        return Box(tf.minimum(*ends), tf.maximum(*ends), _scaled(layer, inputs[0].ball))
    raise InputError(f"layer {layer.name}: {kind.__name__} is not supported by interval bounds")


def call(
    layer: keras.layers.Layer, values: list[tf.Tensor], *, training: bool = False
) -> tf.Tensor:
    """A layer's output, by default at inference."""
    value = values if len(values) > 1 else values[0]
    differs = type(layer) in (keras.layers.Dropout, keras.layers.BatchNormalization)
    return layer(value, training=training) if differs else layer(value)


def scaling(layer: keras.layers.Layer, clean: tf.Tensor | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """A `SCALING` layer as a function.

    Args:
        layer: the layer.
        clean: in training, the clean inputs, whose statistics batch normalization uses.
    """
    batch_norm = type(layer) is keras.layers.BatchNormalization and layer.trainable
    if clean is None or not batch_norm:
        return lambda value: call(layer, [value])
    others = [axis for axis in range(clean.shape.rank) if axis not in layer.axis]
    mean, variance = tf.nn.moments(clean, others, keepdims=True)
    offset, scale = (
        None if weight is None else tf.reshape(weight, mean.shape)
        for weight in (layer.beta, layer.gamma)
    )
    return lambda value: tf.nn.batch_normalization(
        value, mean, variance, offset, scale, layer.epsilon
    )


def _scaled(layer: keras.layers.Layer, ball: BallImage | None) -> BallImage | None:
    if ball is None:
        return None
    scale = entry_scale(layer, ball.scale) * ball.scale
    return ball._replace(centre=call(layer, [ball.centre]), scale=scale)


def entry_scale(layer: keras.layers.Layer, like: tf.Tensor) -> tf.Tensor:
    """How much the output of a `SCALING` layer changes with its input; shaped as given."""
    zeros = tf.zeros_like(like)
    return tf.abs(call(layer, [zeros + 1]) - call(layer, [zeros]))


def _affine(layer: keras.layers.Layer, box: Box) -> Box:
    """The box of a dense layer or convolution without its activation."""
    apply, add = affine_parts(layer)
    centre, radius = middle_of(box)
    kernel = kernel_of(layer)
    middle, spread = add(apply(centre, kernel)), apply(radius, tf.abs(kernel))
    low, high = middle - spread, middle + spread
    if box.ball is not None:
        middle = add(apply(box.ball.centre, kernel))
        reach = box.ball.radius * _dual_lengths(apply, kernel, box.ball)
        low, high = tf.maximum(low, middle - reach), tf.minimum(high, middle + reach)
    return Box(low, high)


def _dual_lengths(apply: Apply, kernel: tf.Tensor, ball: BallImage) -> tf.Tensor:
    """The dual norm of the weights of each output; an upper bound in l1."""
    if ball.norm == "l2":
        return tf.sqrt(apply(tf.square(ball.scale), tf.square(kernel)))
    # The largest weight, times the largest change of any entry.
    largest = tf.reduce_max(tf.abs(kernel), axis=range(len(kernel.shape) - 1))
    return tf.zeros_like(apply(ball.scale, kernel)) + largest * tf.reduce_max(ball.scale)


def middle_of(box: Box) -> tuple[tf.Tensor, tf.Tensor]:
    """The centre and half width of a box."""
    return (box.high + box.low) / 2, (box.high - box.low) / 2
