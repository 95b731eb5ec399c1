"""Linear bounds on margins over a ball of inputs, by one backward pass per layer with ReLUs.

"Efficient Neural Network Robustness Certification with General Activation Functions" (Zhang, Weng,
Chen, Hsieh and Daniel, 2018, theorem 3.2, https://arxiv.org/abs/1811.00866). All bounds hold up to
the rounding of float32.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.bounds import propagation
from robust_sparse_tf.bounds.propagation import Box, Step

_LINEAR = (
    *propagation.RESHAPING,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Add,
    keras.layers.Concatenate,
)
_ROWS = 64  # bounds computed at a time, for each image; limits the memory

Linear: TypeAlias = Callable[[list[tf.Tensor]], tf.Tensor]
Slopes: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From the ends of a ReLU's input to the slope of the line below it, which is 0 to 1."""


def adaptive(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """1 where more of the input's range is above 0 than below, otherwise 0."""
    return tf.cast(high > -low, tf.float32)


def flat(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """0 wherever an input may have both signs, so that bounds are no looser than intervals."""
    del high
    return tf.cast(low >= 0, tf.float32)


def margins(
    steps: list[Step], y: tf.Tensor, ball: Ball, lines: Sequence[Slopes] = (adaptive, flat)
) -> tf.Tensor:
    """Lower bounds on the label's logit minus each other logit: float32 [batch, classes].

    Args:
        steps: from `propagation.propagate`, or `tightened`.
        y: int64 [batch].
        ball: the inputs for which the bounds hold, as those of the steps.
        lines: choices of the lines below ReLUs, of which each bound is the best.
    """
    if end := propagation.linear_end(steps):
        weights, biases = end.differences(y)
        features, rows = end.features, tf.transpose(weights, [2, 0, 1])
    else:
        features, biases = steps[-1].output, 0.0
        classes = features.low.shape[-1]
        own = tf.one_hot(y, classes)
        rows = own[None] - tf.eye(classes)[:, None]
    found = [_lower(steps, [(features, rows)], ball, slopes) for slopes in lines]
    return tf.transpose(functools.reduce(tf.maximum, found)) + biases


def tightened(steps: list[Step], ball: Ball) -> list[Step]:
    """The same calls with linear bounds on what each ReLU is applied to.

    They are never looser than the given steps. The time of each image grows with the number of
    units times the operations of the layers before them.
    """
    renewed: dict[int, Box] = {}
    found: list[Step] = []
    curved = False  # Before the first ReLU, intervals are exact.
    for step in steps:
        inputs = [renewed.get(id(box), box) for box in step.inputs]
        own = propagation.step_of(step.layer, inputs)
        if is_relu(step.layer) and own.inside is not None:
            if curved:
                within = _inside(found, own, own.inside, ball)
                own = propagation.step_of(step.layer, inputs, within)
            curved = True
        renewed[id(step.output)] = own.output
        found.append(own)
    return found


def _inside(steps: list[Step], step: Step, inside: Box, ball: Ball) -> Box:
    """Linear bounds on what the ReLU of a step is applied to, `_ROWS` units at a time."""
    shape = tf.shape(inside.low)
    size = inside.low.shape[1:].num_elements()

    def ends(first: tf.Tensor) -> tf.Tensor:
        rows = tf.one_hot(tf.range(first, first + _ROWS), size)
        rows = tf.reshape(rows, tf.concat([[_ROWS, 1], shape[1:]], 0))
        rows = tf.broadcast_to(rows, tf.concat([[_ROWS], shape], 0))
        return tf.stack([_below(steps, step, sign * rows, ball) for sign in (1.0, -1.0)])

    both = tf.map_fn(ends, tf.range(0, size, _ROWS), fn_output_signature=tf.float32)
    both = tf.transpose(both, [1, 3, 0, 2])  # [2, batch, chunks, rows]
    low, high = tf.unstack(tf.reshape(both, [2, shape[0], -1])[:, :, :size])
    return Box(tf.reshape(low, shape), tf.reshape(-high, shape))


def _below(steps: list[Step], step: Step, rows: tf.Tensor, ball: Ball) -> tf.Tensor:
    """Lower bounds on functions of what the ReLU of a step is applied to, [rows, batch]."""
    function = _linear_part(step.layer, step.inputs)
    parts, constant = [rows], tf.zeros(tf.shape(rows)[:2])
    if function:
        parts, constant = _through_linear(function, rows, step.inputs)
    return constant + _lower(steps, list(zip(step.inputs, parts, strict=True)), ball, adaptive)


def _lower(
    steps: list[Step], starts: list[tuple[Box, tf.Tensor]], ball: Ball, slopes: Slopes
) -> tf.Tensor:
    """Lower bounds on linear functions of boxes.

    Each layer is replaced by a linear lower bound of what follows it, from the last one to the
    inputs. Layers that are neither linear nor end in a ReLU enter as intervals.

    Args:
        steps: those before, and others.
        starts: boxes, which are the outputs of steps or the inputs, with the coefficients of each
            function: float32 [rows, batch, ...].
        ball: the inputs for which the bounds hold, as those of the steps.
        slopes: the line below each ReLU whose input may have both signs.

    Returns:
        float32 [rows, batch].
    """
    left: dict[int, tuple[Box, tf.Tensor]] = {}

    def add(box: Box, rows: tf.Tensor) -> None:
        before = left.get(id(box))
        left[id(box)] = (box, rows if before is None else before[1] + rows)

    for start in starts:
        add(*start)
    total = tf.zeros(tf.shape(starts[0][1])[:2])
    for step in reversed(steps):
        if id(step.output) in left:  # otherwise nothing depends on it
            _, rows = left.pop(id(step.output))
            parts, constant = _through(step, rows, slopes)
            total += constant
            for part in parts:
                add(*part)
    return total + tf.add_n([_over_ball(rows, box, ball) for box, rows in left.values()] or [0.0])


def _through(
    step: Step, rows: tf.Tensor, slopes: Slopes
) -> tuple[list[tuple[Box, tf.Tensor]], tf.Tensor]:
    """The inputs of a step with their coefficients, and the constant [rows, batch]."""
    constant = tf.zeros(tf.shape(rows)[:2])
    function = _linear_part(step.layer, step.inputs)
    if is_relu(step.layer) and step.inside is not None:
        rows, constant = _through_relu(rows, step.inside, slopes)
        if not function:
            return [(step.inputs[0], rows)], constant
    if not function:
        low, high = step.output.low, step.output.high
        return [], _sums(tf.nn.relu(rows) * low - tf.nn.relu(-rows) * high)
    parts, offset = _through_linear(function, rows, step.inputs)
    return list(zip(step.inputs, parts, strict=True)), constant + offset


def is_relu(layer: keras.layers.Layer) -> bool:
    """Whether a layer ends in max(x, 0)."""
    if type(layer) is keras.layers.ReLU:
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return bool(plain)
    return getattr(layer, "activation", None) is keras.activations.relu


def _through_relu(rows: tf.Tensor, box: Box, slopes: Slopes) -> tuple[tf.Tensor, tf.Tensor]:
    """max(x, 0) lies below the line through its values at both ends, and above one through 0."""
    low, high = tf.minimum(box.low, 0.0), tf.maximum(box.high, 0.0)
    upper = tf.math.divide_no_nan(high, high - low)
    lower = tf.where(box.low >= 0, 1.0, tf.where(box.high <= 0, 0.0, slopes(box.low, box.high)))
    positive, negative = tf.nn.relu(rows), tf.nn.relu(-rows)
    return positive * lower - negative * upper, _sums(negative * upper * low)


def _linear_part(layer: keras.layers.Layer, inputs: list[Box]) -> Linear | None:
    """A layer without its activation, if that is linear up to a constant."""
    kind = type(layer)
    if kind in propagation.AFFINE:
        if not is_relu(layer) and propagation.activation_of(layer) != "linear":
            return None
        apply, add = propagation.affine_parts(layer)
        return lambda values: add(apply(values[0], propagation.kernel_of(layer)))
    if kind in propagation.SCALING:
        scale = propagation.scaling(layer, inputs[0].clean)
        return lambda values: scale(values[0])
    passes = kind is keras.layers.Activation and propagation.activation_of(layer) == "linear"
    return functools.partial(propagation.call, layer) if kind in _LINEAR or passes else None


def _through_linear(
    function: Linear, rows: tf.Tensor, inputs: list[Box]
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The transposed function; its constant is what it makes of zeros."""
    count = tf.shape(rows)[0]
    merged = tf.reshape(rows, tf.concat([[-1], tf.shape(rows)[2:]], 0))
    zeros = [
        tf.zeros(tf.concat([tf.shape(merged)[:1], tf.shape(box.low)[1:]], 0)) for box in inputs
    ]
    for value, box in zip(zeros, inputs, strict=True):
        value.set_shape([None, *box.low.shape[1:]])
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        constants = function(zeros)
    merged = tf.reshape(merged, tf.shape(constants))
    parts = tape.gradient(constants, zeros, merged, unconnected_gradients="zero")
    split = [tf.reshape(part, tf.concat([[count, -1], tf.shape(part)[1:]], 0)) for part in parts]
    return split, tf.reshape(_sums(merged * constants, start=1), tf.shape(rows)[:2])


def _over_ball(rows: tf.Tensor, box: Box, ball: Ball) -> tf.Tensor:
    """The minimum over the inputs of a linear function, [rows, batch]."""
    centre, radius = propagation.middle_of(box)
    found = _sums(rows * centre) - _sums(tf.abs(rows) * radius)
    if box.ball is None:
        return found
    shape = tf.shape(rows)
    moves = tf.reshape(rows * box.ball.scale, tf.concat([shape[:2], [-1]], 0))
    length = tf.norm(moves, propagation.DUAL[box.ball.norm], axis=-1)
    return tf.maximum(found, _sums(rows * box.ball.centre) - box.ball.radius * length)


def _sums(values: tf.Tensor, start: int = 2) -> tf.Tensor:
    """Sums over all axes from one on."""
    return tf.reduce_sum(values, axis=list(range(start, values.shape.rank)))
