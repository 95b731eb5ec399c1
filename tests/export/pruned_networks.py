"""Networks with random weights, whole channels of zeros among them, for tests of compaction."""

import numpy as np
import tf_keras as keras

from robust_sparse_tf import export

KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def randomise(model, seed=0, biases=True):
    """Gives all weights random values; variances are positive."""
    rng = np.random.default_rng(seed)
    for layer in model.submodules:
        for weight in layer.weights if not isinstance(layer, keras.Model) else []:
            name = weight.name.split("/")[-1].split(":")[0]
            values = rng.normal(size=weight.shape)
            if name in KERNELS:
                values /= np.sqrt(max(1, np.prod(weight.shape[:-1])))
            elif "variance" in name or "gamma" in name:
                values = 0.5 + np.abs(values)
            weight.assign(values if biases or name in KERNELS else np.abs(values * 0))
    return model


def prune(model, share, seed=0, biases=False):
    """Sets a share of the outputs of each hidden layer with a kernel to zero, and half the rest.

    Args:
        model: changed in place.
        share: of the outputs; the last layer keeps its own.
        seed: seed of the choice.
        biases: whether pruned outputs have biases of zero, too, and normalizations after them.
    """
    rng = np.random.default_rng(seed)
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    for layer in layers[:-1]:
        kernel = layer.kernel.numpy()
        gone = rng.permutation(kernel.shape[-1])[: round(share * kernel.shape[-1])]
        kernel[..., gone] = 0
        layer.kernel.assign(kernel * (rng.random(kernel.shape) < 0.5))
        norms = [node.layer for node in layer.outbound_nodes]
        for each in [layer, *norms] if biases else []:
            for name in ("bias", "beta", "moving_mean"):
                weight = getattr(each, name, None)
                if weight is not None:
                    values = weight.numpy()
                    values[gone] = 0
                    weight.assign(values)
    return model


def images(model, count=6, seed=1):
    shape = [size or 16 for size in model.input_shape[1:]]
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def compacted(model, relative=1e-5):
    """The compaction of a model, whose outputs and ends have been compared with the model's."""
    found = export.compact(model)
    x = images(model)
    expected, outputs = model(x, training=False).numpy(), found.model(x, training=False).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=relative * np.abs(expected).max())
    for name in ("input_shape", "output_shape", "input_names", "output_names"):
        assert getattr(found.model, name) == getattr(model, name)
    return found


def channels(found):
    """The sizes of the layers that are left, by name."""
    return {layer.name: layer.channels_after for layer in found.layers if layer.weights_after}
