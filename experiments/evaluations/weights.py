"""The weights of a round's network in numbers: connections, small weights, noise on them."""

import numpy as np
import tf_keras as keras

from experiments.evaluations.stored import Weights
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import wrapper
from robust_sparse_tf.training import noise_layers

GAMMAS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Magnitudes below which weights are counted."""

_BINS = 41


def connections(network: keras.Model) -> int:
    """The trainable parameters of a network without the zeros of its kernels.

    Biases and batch normalization count, as in "Dynamic Sparse Adversarial Training for Robust
    Image Classification", table I.
    """
    values = [(weight.numpy(), wrapper.is_kernel(weight)) for weight in network.trainable_weights]
    return sum(
        int(np.count_nonzero(value)) if is_kernel else value.size for value, is_kernel in values
    )


def of_network(network: keras.Model) -> Weights:
    """Small weights of convolutions, those of the second convolution, and the noise by layer.

    Raises:
        InputError: for a network with less than two convolutions.
    """
    layers = [getattr(layer, "layer", layer) for layer in wrapper.leaves(network)]
    kernels = [layer.kernel.numpy() for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    if len(kernels) < 2:
        raise InputError(f"model {network.name}: has {len(kernels)} convolutions; needs 2")
    counts, edges = np.histogram(kernels[1], _BINS, _range(kernels[1]))
    return Weights(
        below=below(kernels),
        counts=counts.tolist(),
        edges=edges.tolist(),
        noise={layer.name: _noise(layer) for layer in noise_layers.of_model(network)},
    )


def below(kernels: list[np.ndarray]) -> dict[str, float]:
    """The fraction of all weights with a magnitude below each of `GAMMAS`."""
    size = sum(kernel.size for kernel in kernels)
    small = {g: sum(int(np.sum(np.abs(kernel) < g)) for kernel in kernels) for g in GAMMAS}
    return {f"{gamma:g}": count / size for gamma, count in small.items()}


def _range(kernel: np.ndarray) -> tuple[float, float]:
    most = float(np.max(np.abs(kernel))) or 1.0
    return -most, most


def _noise(layer: noise_layers.WeightNoise) -> float:
    """The deviation of a layer's noise over the mean magnitude of its weights, 0 if all are 0."""
    kernel = getattr(layer, layer.kernel_name).numpy()
    size = float(np.mean(np.abs(kernel)))
    alpha = float(np.mean(np.abs(layer.noise_alpha.numpy())))
    return alpha * float(np.std(kernel, ddof=1)) / size if size else 0.0
