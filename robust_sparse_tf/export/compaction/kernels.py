"""Kernels of convolutions and dense layers: what they read, and constants folded into them.

Constants are float64 [channels]; NaN means that a channel varies.
"""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.export.compaction.graph import Node
from robust_sparse_tf.export.compaction.kinds import Role, is_elementwise

Weights = dict[str, np.ndarray]


def effective(node: Node) -> np.ndarray:
    """The kernel [positions, inputs, outputs] of a layer with the role KERNEL or SEPARABLE."""
    if node.role is Role.KERNEL:
        kernel = node.weights["kernel"]
        return kernel.reshape(-1, *kernel.shape[-2:])
    each = node.weights["depthwise_kernel"]
    inputs, multiplier = each.shape[-2:]
    together = node.weights["pointwise_kernel"].reshape(inputs, multiplier, -1)
    return np.einsum("pij,ijo->pio", each.reshape(-1, inputs, multiplier), together)


def pads(node: Node) -> bool:
    """Whether a layer with a kernel adds zeros around its input."""
    padding = getattr(node.layer, "padding", "valid")
    return padding != "valid" and max(getattr(node.layer, "kernel_size", (1,))) > 1


def activated(node: Node, values: np.ndarray) -> np.ndarray:
    """The activation of a layer, of constants; all vary if it does not act on each alone."""
    if not is_elementwise(node.layer.activation):
        return np.full_like(values, np.nan)
    found = node.layer.activation(tf.constant(np.nan_to_num(values), node.layer.compute_dtype))
    return varying_unless(np.isfinite(values), found)


def varying_unless(fixed: np.ndarray, values: object) -> np.ndarray:
    """Values as constants; NaN where they are not fixed, or not finite."""
    values = np.asarray(values, np.float64)
    return np.where(fixed & np.isfinite(values), values, np.nan)


def outputs_of(node: Node, constants: np.ndarray, padded: bool) -> np.ndarray:
    """The constants among the outputs of a layer with a kernel.

    Args:
        node: the layer.
        constants: those among its inputs.
        padded: whether there are zeros around its inputs, at which all but 0 changes.
    """
    usable = constants == 0 if padded else np.isfinite(constants)
    values = np.where(usable, constants, 0)
    if node.role is Role.DEPTHWISE:
        kernel = node.weights["depthwise_kernel"]
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        fixed = (usable[:, None] | ~kernel.any(axis=0)).reshape(-1)
        found = (values[:, None] * kernel.sum(axis=0)).reshape(-1)
    else:
        kernel = effective(node)
        fixed = ~kernel[:, ~usable].any(axis=(0, 1))
        found = values @ kernel.sum(axis=0)
    return activated(node, varying_unless(fixed, found + node.weights.get("bias", 0)))


def inputs_needed(
    node: Node, constants: np.ndarray, padded: bool, outputs: np.ndarray
) -> np.ndarray:
    """The inputs, bool [inputs], that a layer needs for some of its outputs.

    Inputs with zero weights are not needed, nor are constants that can be folded into the bias.
    Zeros around the inputs prevent the latter for constants other than 0. All of these have the
    same form, so that one of them, the carrier, can do the work of the others.

    Args:
        node: a layer with the role KERNEL or SEPARABLE.
        constants: those among its inputs.
        padded: as for `outputs_of`.
        outputs: bool [outputs].
    """
    reads = effective(node)[:, :, outputs].any(axis=(0, 2))
    if not padded:
        return reads & ~np.isfinite(constants)
    needed = reads & (constants != 0)
    carried = needed & np.isfinite(constants)
    if node.role is Role.KERNEL and carried.any():
        needed &= ~carried
        needed[carrier(constants)] = True
    return needed


def carrier(constants: np.ndarray) -> int:
    """The channel that does the work of all constants, in a padded convolution."""
    return int(np.nanargmax(np.abs(constants)))


def folded(
    node: Node, constants: np.ndarray, padded: bool, inputs: np.ndarray, outputs: np.ndarray
) -> Weights:
    """The weights of a smaller layer, with removed constants folded in.

    Args:
        node: a layer with the role KERNEL or SEPARABLE.
        constants: those among its inputs.
        padded: as for `outputs_of`.
        inputs: the inputs that stay, bool.
        outputs: the outputs that stay, bool.
    """
    weights = dict(node.weights)
    values = np.where(inputs | np.isnan(constants), 0, constants)
    if values.any() and not padded:
        bias = values @ effective(node).sum(axis=0)
        if bias[outputs].any():
            weights["bias"] = weights.get("bias", 0) + bias
    elif values.any() and node.role is Role.KERNEL:
        main = carrier(constants)
        kernel = weights["kernel"].copy()
        kernel[..., main, :] += np.einsum("...io,i->...o", kernel, values / constants[main])
        weights["kernel"] = kernel
    return _cut(weights, inputs, outputs)


def _cut(weights: Weights, inputs: np.ndarray, outputs: np.ndarray) -> Weights:
    found = {}
    for name, weight in weights.items():
        if name == "bias":
            found[name] = weight[outputs]
        elif name == "depthwise_kernel":
            found[name] = weight[..., inputs, :]
        else:  # a pointwise kernel has several inputs per channel
            rows = np.repeat(inputs, weight.shape[-2] // len(inputs))
            found[name] = weight[..., rows, :][..., outputs]
    return found
