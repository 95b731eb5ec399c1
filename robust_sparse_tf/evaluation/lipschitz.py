"""Local Lipschitz constants of ReLU networks, and the safe distances that follow from them.

"Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and Chen, 2018), lemma 3.1 and
proposition 3.1: https://arxiv.org/abs/1810.09619
"""

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ball, norms
from robust_sparse_tf.bounds import propagation
from robust_sparse_tf.bounds.propagation import (
    AFFINE,
    DUAL,
    POOLING,
    RESHAPING,
    SCALING,
    Box,
    Step,
)
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import in_range, unwrapped
from robust_sparse_tf.options import require


def local_lipschitz(model: Any, x: tf.Tensor, ball: Ball) -> tf.Tensor:
    """Bounds on the slope of g_yhat - g_k in the ball around each input, yhat the predicted class.

    Lemma 3.1 bounds the dual norm of its gradient in B_p(x, R), 1/p + 1/q = 1, by

        L_q <= ||w_yhat - w_k||_q sup prod_{j < d} ||D_j||_p ||W_j||_p,

    with D_j the diagonal matrix that is 1 at the active units of layer j. A unit whose
    pre-activation is below 0 by interval bounds is inactive everywhere in the ball, so its row of
    W_j and its column of W_{j+1} (or its entry of w_yhat - w_k) are set to zero: ||D_j W_j
    D_{j-1}||_p, and so the product, is at most that of the lemma. The norms are exact for dense
    layers, and for convolutions in linf and l1; for convolutions in l2, the minimum of three bounds
    is used. Inactive units are found for the part of the ball in the range low to high.

    Args:
        model: a tf_keras model, wrapped or not, that is a chain of dense layers and convolutions
            with ReLU or no activation, pooling, scaling and reshaping; the last layer is dense.
        x: float32 [batch, ...] from ball.low to ball.high.
        ball: its norm is the p of the lemma, its epsilon R.

    Returns:
        float32 [batch, classes], in logits per unit of the input; 0 at yhat.

    Raises:
        InputError: naming the layer that is not supported.
    """
    network = unwrapped(model)
    require("ball", ball, Ball)
    return lemma_3_1(network, in_range(x, ball.limits), ball)


def lemma_3_1(
    network: keras.Model, x: tf.Tensor, ball: Ball, label: tf.Tensor | None = None
) -> tf.Tensor:
    """`local_lipschitz` of g_label - g_k; labels are integers [batch]; None: the predicted ones."""
    box = propagation.input_box(x, ball)
    steps = propagation.propagate(network, box)
    _check_chain(steps, box)
    end = propagation.linear_end(steps)
    if end is None:
        name = steps[-1].layer.name
        raise InputError(f"layer {name}: the last layer must be dense and linear")

    constant, active = tf.ones(tf.shape(box.low)[:1]), tf.ones_like(box.low)
    for step in end.before:
        factor, active = _pass(step, active, ball.norm)
        constant *= factor
    if label is None:
        label = tf.argmax(network(x, training=False), axis=1)
    weights, _ = end.differences(label)
    return constant[:, None] * tf.norm(weights * active[..., None], DUAL[ball.norm], axis=1)


def safe_distance(model: Any, x: tf.Tensor, ball: Ball) -> tf.Tensor:
    """A distance within which the prediction cannot change: float32 [batch].

    It is the gamma of proposition 3.1, equation 7, min(R, min_k (g_yhat - g_k) / L_q), with the
    bounds of lemma 3.1 for L_q; from theorem 2.1 of "Formal Guarantees on the Robustness of a
    Classifier against Adversarial Manipulation" (Hein and Andriushchenko, 2017),
    https://arxiv.org/abs/1705.08475. The arguments are those of `local_lipschitz`. Inputs outside
    the ball's range are not considered.
    """
    require("ball", ball, Ball)
    x = in_range(x, ball.limits)
    slopes = local_lipschitz(model, x, ball)
    logits = unwrapped(model)(x, training=False)
    gaps = tf.reduce_max(logits, axis=1, keepdims=True) - logits
    own = tf.one_hot(tf.argmax(logits, axis=1), logits.shape[-1], on_value=True, off_value=False)
    distances = tf.where(own | (slopes == 0), math.inf, gaps / slopes)
    return tf.minimum(tf.reduce_min(distances, axis=1), ball.epsilon)


def _check_chain(steps: list[Step], box: Box) -> None:
    for step in steps:
        if len(step.inputs) != 1 or step.inputs[0] is not box:
            raise InputError(f"layer {step.layer.name}: layers must form a chain")
        box = step.output


def _pass(step: Step, active: tf.Tensor, norm: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The norm of a layer, [batch], and ones for its outputs that can change, else zeros."""
    layer, kind = step.layer, type(step.layer)
    one = tf.ones(tf.shape(active)[:1])
    if kind in AFFINE:
        relu = _is_relu(layer)
        out = _alive(step) if relu else tf.ones_like(step.output.low)
        return _affine_norm(layer, active, out, norm), out
    if kind in RESHAPING:
        return one, propagation.call(layer, [active])
    if kind in SCALING:
        return _largest(active * propagation.entry_scale(layer, active[:1])), active
    if kind in POOLING:
        return _pooling_norm(layer, active, norm), tf.cast(layer(active) > 0, tf.float32)
    plain_relu = kind is keras.layers.ReLU and layer.threshold == 0 and layer.negative_slope == 0
    if plain_relu or (kind is keras.layers.Activation and _is_relu(layer)):
        return one, active * _alive(step)
    if kind is keras.layers.Activation:
        return one, active
    raise InputError(f"layer {layer.name}: {kind.__name__} is not supported by lemma 3.1")


def _is_relu(layer: keras.layers.Layer) -> bool:
    name = propagation.activation_of(layer)
    if name not in ("relu", "linear"):
        raise InputError(f"layer {layer.name}: activation {name} is not supported by lemma 3.1")
    return name == "relu"


def _alive(step: Step) -> tf.Tensor:
    return tf.cast(step.output.high > 0, tf.float32)


def _affine_norm(
    layer: keras.layers.Layer, active: tf.Tensor, out: tf.Tensor, norm: str
) -> tf.Tensor:
    """||D_out W D_in||_p per example; for convolutions in l2, a bound on it."""
    if isinstance(layer, keras.layers.Dense) and len(active.shape) != 2:
        raise InputError(f"layer {layer.name}: its inputs must be flat for lemma 3.1")
    if norm == "l2" and isinstance(layer, keras.layers.Dense):
        return _spectral_norms(layer.kernel, active, out)
    apply, _ = propagation.affine_parts(layer)
    kernel = propagation.kernel_of(layer)
    sizes = tf.abs(kernel)
    rows, columns = _sums(lambda value: apply(value, sizes), active, out)
    if norm != "l2":
        return rows if norm == "linf" else columns
    frobenius = tf.sqrt(_total(out * apply(active, tf.square(kernel))))
    return tf.minimum(tf.minimum(tf.sqrt(rows * columns), frobenius), _patch_bound(layer))


def _sums(apply: Any, active: tf.Tensor, out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The maximum row and column sums of a linear map without negative weights: [batch]."""
    with tf.GradientTape() as tape:
        tape.watch(active)
        value = apply(active)
    backward = tape.gradient(value, active, output_gradients=out)
    return _largest(value * out), _largest(backward * active)


def _spectral_norms(kernel: tf.Tensor, active: tf.Tensor, out: tf.Tensor) -> tf.Tensor:
    """The largest singular value of the kernel's active part: [batch]."""
    kernel = tf.cast(kernel, tf.float64)

    def one(masks: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        rows, columns = (tf.cast(mask, tf.float64) for mask in masks)
        matrix = rows[:, None] * kernel * columns
        if kernel.shape[0] < kernel.shape[1]:
            matrix = tf.transpose(matrix)
        return tf.linalg.eigvalsh(tf.matmul(matrix, matrix, transpose_a=True))[-1]

    squares = tf.map_fn(one, (active, out), fn_output_signature=tf.float64)
    return tf.cast(tf.sqrt(tf.maximum(squares, 0.0)), tf.float32)


def _patch_bound(layer: keras.layers.Conv2D) -> tf.Tensor:
    """A bound from the kernel's spectral norm and the number of patches that contain a pixel.

    "Lipschitz-Margin Training" (Tsuzuku, Sato and Sugiyama, 2018), section 4.2.
    """
    matrix = tf.reshape(layer.kernel, [-1, layer.groups, layer.filters // layer.groups])
    values = tf.linalg.svd(tf.transpose(matrix, [1, 0, 2]), compute_uv=False)
    times = _overlap(layer.kernel_size, layer.strides, layer.dilation_rate)
    return math.sqrt(times) * tf.reduce_max(values)


def _pooling_norm(layer: keras.layers.Layer, active: tf.Tensor, norm: str) -> tf.Tensor:
    if isinstance(layer, keras.layers.AveragePooling2D | keras.layers.GlobalAveragePooling2D):
        rows, columns = _sums(layer, active, tf.ones_like(layer(active)))
    else:
        # Each window passes one input on; one input may pass in several windows.
        rows = tf.ones(tf.shape(active)[:1])
        times = 1
        if isinstance(layer, keras.layers.MaxPooling2D):
            times = _overlap(layer.pool_size, layer.strides, (1, 1))
        columns = times * rows
    return {"linf": rows, "l1": columns, "l2": tf.sqrt(rows * columns)}[norm]


def _overlap(size: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int]) -> int:
    """The maximum number of windows that contain an entry."""
    steps = zip(size, strides, dilation, strict=True)
    # Each position of a window meets an entry at most once, for any dilation.
    return math.prod(n if d > 1 else math.ceil(n / s) for n, s, d in steps)


def _largest(value: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(norms.flat(value), axis=1)


def _total(value: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(norms.flat(value), axis=1)
