"""Compaction of random networks: the same outputs, and as small as their connections allow."""

import numpy as np
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st
from pruned_networks import channels, compacted, randomise

from robust_sparse_tf import export
from robust_sparse_tf.models.layers import ParameterFreeShortcut

layers = keras.layers
FEW = settings(max_examples=8, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def mask(model, seed):
    """Zeros among all weights: whole inputs and outputs, single weights, biases."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        kind = rng.integers(4)
        for weight in layer.weights:
            values = weight.numpy()
            if values.ndim > 1:
                for axis in (-1, -2):
                    gone = rng.random(values.shape[axis]) < 0.4
                    if kind in (0, -axis):
                        np.moveaxis(values, axis, 0)[gone] = 0
                if kind == 3:
                    values[rng.random(values.shape) < 0.9] = 0
            elif "bias" in weight.name or "beta" in weight.name or "mean" in weight.name:
                values[rng.random(len(values)) < 0.5] = 0
            weight.assign(values)
    return model


def alive(kernels):
    """The units of each hidden layer with a path from an input and a path to an output."""
    forward, backward = [np.ones(len(kernels[0]), bool)], [np.ones(kernels[-1].shape[1], bool)]
    for kernel in kernels:
        forward.append((kernel[forward[-1]] != 0).any(axis=0))
    for kernel in kernels[::-1]:
        backward.insert(0, (kernel[:, backward[0]] != 0).any(axis=1))
    return [max(1, int((a & b).sum())) for a, b in zip(forward, backward, strict=True)][1:-1]


@FEW
@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), SEEDS)
def test_dense_networks_keep_exactly_the_units_on_a_path(sizes, seed):
    hidden = [layers.Dense(size, "sigmoid") for size in sizes]
    model = keras.Sequential([layers.Input((5,)), *hidden, layers.Dense(3)])
    mask(randomise(model, seed), seed)
    found = channels(compacted(model))
    kernels = [layer.kernel.numpy() for layer in model.layers]
    left = [found[layer.name] for layer in model.layers[:-1]]
    expected = alive(kernels)
    if min(expected) > 1:  # else one channel, which others are needed for, stays
        assert left == expected
    assert all(a >= b for a, b in zip(left, expected, strict=True))


@FEW
@given(st.lists(st.integers(2, 6), min_size=2, max_size=3), SEEDS)
def test_convolutions_keep_exactly_the_channels_on_a_path(sizes, seed):
    """Without biases all constants are 0, so that padding does not matter."""
    model = keras.Sequential(
        [
            layers.Input((5, 5, 2)),
            *(layers.Conv2D(n, 3, padding="same", activation="relu") for n in sizes),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    mask(randomise(model, seed, biases=False), seed)
    found = channels(compacted(model))
    *convolutions, _, dense = model.layers
    kernels = [np.abs(layer.kernel.numpy()).sum(axis=(0, 1)) for layer in convolutions]
    kernels.append(np.abs(dense.kernel.numpy()).reshape(25, sizes[-1], 3).sum(axis=0))
    left, expected = [found[layer.name] for layer in convolutions], alive(kernels)
    if min(expected) > 1:
        assert left == expected
    assert all(a >= b for a, b in zip(left, expected, strict=True))


KINDS = ("conv", "conv", "conv", "separable", "depthwise", "norm", "active", "add", "add")
KINDS += ("multiply", "concatenate", "pool", "pad", "back", "shortcut")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 11)), min_size=2, max_size=9)


def step(kind, number, tensors):
    """The next tensor of a random graph; `number` chooses among variants."""
    x = tensors[-1]
    padding, size, filters = ["same", "valid"][number % 2], 1 + number % 3, 1 + number % 5
    if min(x.shape[1:3]) < size:
        padding = "same"
    equal = [t for t in tensors if t.shape == x.shape]
    other = equal[number % len(equal)]
    activation = ["linear", "relu", "tanh", "sigmoid", "elu"][number % 5]
    match kind:
        case "conv":
            return layers.Conv2D(
                filters, size, 1 + number % 2, padding, use_bias=number < 9, activation=activation
            )(x)
        case "separable":
            return layers.SeparableConv2D(
                filters, size, padding=padding, depth_multiplier=1 + number % 2
            )(x)
        case "depthwise":
            return layers.DepthwiseConv2D(
                size, padding=padding, depth_multiplier=1 + number % 2, activation=activation
            )(x)
        case "norm":
            return layers.BatchNormalization()(x)
        case "active":
            every = layers.ReLU(6.0), layers.LeakyReLU(), layers.PReLU(), layers.Activation("tanh")
            return every[number % 4](x)
        case "add":
            if other is x:
                other = layers.Conv2D(x.shape[-1], 1, padding="same")(tensors[0])
                return other if other.shape != x.shape else layers.Add()([x, other])
            return (layers.Subtract if number > 9 else layers.Add)()([other, x])
        case "multiply":
            return [layers.Multiply, layers.Maximum, layers.Average][number % 3]()([x, other])
        case "concatenate":
            near = [t for t in tensors if t.shape[1:3] == x.shape[1:3]]
            return layers.Concatenate()([near[number % len(near)], x])
        case "pool":
            pool = [layers.MaxPooling2D, layers.AveragePooling2D][number % 2]
            return pool(2, 1 + number % 2, padding="same")(x)
        case "pad":
            return layers.ZeroPadding2D(1)(x)
        case "shortcut":
            return ParameterFreeShortcut(x.shape[-1] + number % 3, 1 + number % 2)(x)
    return tensors[number % len(tensors)]  # back


def network(steps, last):
    inputs = layers.Input((5, 5, 2))
    tensors = [inputs]
    for kind, number in steps:
        tensors.append(step(kind, number, tensors))
    x = [layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D][last % 3]()(
        tensors[-1]
    )
    if last > 3:
        x = layers.Dense(6, "relu")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


@settings(FEW, max_examples=15)
@given(STEPS, st.integers(0, 7), SEEDS)
def test_random_graphs_have_the_same_outputs(steps, last, seed):
    model = mask(randomise(network(steps, last), seed), seed)
    found = compacted(model, relative=2e-5)
    again = export.compact(found.model)
    assert channels(again) == channels(found)
    for layer in found.model.layers:
        sizes = [size for weight in layer.weights for size in weight.shape]
        assert all(sizes)
