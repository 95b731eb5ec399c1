import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_sparse_tf import models, sparsify, strip
from robust_sparse_tf.sparsity import (
    Magnitude,
    RigL,
    densities,
    masked_weights,
    statistics,
    store_masked,
)
from robust_sparse_tf.training import AdversarialModel, devices

layers = keras.layers


def net(shape: tuple, *stack: keras.layers.Layer) -> keras.Sequential:
    keras.utils.set_random_seed(0)
    return keras.Sequential([layers.Input(shape), *stack])


def set_mask(model: keras.Model, name: str, mask: np.ndarray) -> None:
    entry = next(entry for entry in masked_weights(model) if entry.name == name)
    entry.mask.assign(np.asarray(mask, np.float32).reshape(entry.mask.shape))
    store_masked(model)


def masks_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {entry.name: entry.mask.numpy() != 0 for entry in masked_weights(model)}


def test_dense_by_hand():
    """Every measure of two dense layers, one of which is pruned."""
    model = sparsify(net((4,), layers.Dense(3, name="a"), layers.Dense(2, name="b")))
    set_mask(model, "a", [[1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]])
    set_mask(model, "b", np.ones((3, 2)))
    found = statistics(model)
    assert found["layers"] == {
        "a": {
            "density": 0.25,
            "active": 3,
            "outside": 0,
            "size": 12,
            "changed": 0,
            "exploration": 0.25,
            "no_input": 1,
            "no_output": 1,
            "dense_bytes": 48,
            "bytes": 14,  # 12 bits in 2 bytes, and 3 values; as CSR (4 + 2) 3 + 4 5 = 38
            "encoding": "bitmap",
        },
        "b": {
            "density": 1,
            "active": 6,
            "outside": 0,
            "size": 6,
            "changed": 0,
            "exploration": 1,
            "no_input": 0,
            "no_output": 0,
            "dense_bytes": 24,
            "bytes": 24,
            "encoding": "dense",
        },
    }
    whole = {key: value for key, value in found.items() if key != "layers"}
    assert whole == {
        "density": 0.5,
        "active": 9,
        "outside": 0,
        "size": 18,
        "changed": 0,
        "exploration": 0.5,
        "no_input": 1,
        "no_output": 1,
        "flops": 9 / 18,
        "multiply_accumulates": 9,
        "dense_bytes": 4 * (18 + 5),  # biases, too
        "bytes": 14 + 24 + 4 * 5,
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "shape, layer, expected",
    [
        ((5, 3), layers.Dense(4), 3 * 4 * 5),
        ((7, 3), layers.Conv1D(4, 3, padding="causal"), 3 * 3 * 4 * 7),
        ((9, 8, 3), layers.Conv2D(4, 3, strides=2, padding="same"), 3 * 3 * 3 * 4 * 5 * 4),
        ((9, 8, 3), layers.Conv2D(4, 3, strides=2), 3 * 3 * 3 * 4 * 4 * 3),
        ((9, 8, 3), layers.Conv2D(4, 3, dilation_rate=2), 3 * 3 * 3 * 4 * 5 * 4),
        ((9, 8, 4), layers.Conv2D(6, 3, groups=2), 3 * 3 * 2 * 6 * 7 * 6),
        ((3, 9, 8), layers.Conv2D(4, 3, data_format="channels_first"), 3 * 3 * 3 * 4 * 7 * 6),
        ((4, 5, 6, 2), layers.Conv3D(3, 2), 8 * 2 * 3 * 3 * 4 * 5),
        ((7, 3), layers.DepthwiseConv1D(3, depth_multiplier=2), 3 * 3 * 2 * 5),
        ((9, 8, 3), layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2), 9 * 6 * 5 * 4),
        ((7, 3), layers.SeparableConv1D(5, 3, depth_multiplier=2), (3 * 6 + 6 * 5) * 5),
        ((9, 8, 3), layers.SeparableConv2D(5, 3, 2), (9 * 3 + 3 * 5) * 4 * 3),
        ((7, 3), layers.Conv1DTranspose(2, 4, 2), 4 * 3 * 2 * 7),
        ((4, 5, 3), layers.Conv2DTranspose(2, 4, 2, "same"), 4 * 4 * 3 * 2 * 4 * 5),
        ((4, 5, 3, 2), layers.Conv3DTranspose(2, 2), 8 * 2 * 2 * 4 * 5 * 3),
        ((6, 5, 3), layers.TimeDistributed(layers.Dense(4)), 3 * 4 * 6 * 5),
    ],
    ids=lambda value: value.name if isinstance(value, keras.layers.Layer) else None,
)
def test_multiply_accumulates_by_hand(shape, layer, expected):
    """Kernel x positions; half the weights take half of them."""
    plain = net(shape, layer, layers.BatchNormalization())
    assert statistics(plain)["multiply_accumulates"] == expected
    if isinstance(layer, layers.TimeDistributed):
        return
    sparse = sparsify(plain)
    assert statistics(sparse)["multiply_accumulates"] == expected
    Magnitude(0.5).prune(sparse)
    found = statistics(sparse)
    if all(mask.size % 2 == 0 for mask in masks_of(sparse).values()):
        assert found["flops"] == 0.5 and found["multiply_accumulates"] == expected / 2
    assert statistics(strip(sparse))["multiply_accumulates"] == expected


@pytest.mark.parametrize(
    "shape, layer",
    [
        ((6, 3), layers.Dense(4, use_bias=False)),
        ((7, 3), layers.Conv1D(4, 3, strides=2, use_bias=False)),
        ((9, 8, 3), layers.Conv2D(4, 3, strides=2, use_bias=False)),
        ((9, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)),
        ((4, 5, 3), layers.Conv2DTranspose(2, 4, 3, use_bias=False)),
        ((4, 5, 6, 2), layers.Conv3D(3, 2, use_bias=False)),
    ],
    ids=lambda value: value.name if isinstance(value, keras.layers.Layer) else None,
)
def test_multiply_accumulates_by_counting(shape, layer):
    """Of ones with kernels of ones, without padding, the outputs add up all multiplications."""
    model = sparsify(net(shape, layer), Magnitude(0.3))
    (entry,) = masked_weights(model)
    entry.weight.assign(entry.mask)
    expected = model(tf.ones([1, *shape])).numpy().sum()
    assert statistics(model)["multiply_accumulates"] == expected


def test_layers_called_twice_and_nested_models():
    """What a forward calls twice counts twice; only calls of this model count."""
    shared, inner = layers.Dense(4, name="shared"), net((4,), layers.Dense(4, name="inner"))
    x = inputs = layers.Input((4,))
    for layer in (shared, shared, inner):
        x = layer(x)
    plain = keras.Model(inputs, layers.Dense(1, name="out")(x))
    shared(inputs)  # elsewhere
    assert statistics(plain)["multiply_accumulates"] == 3 * 16 + 4
    sparse = sparsify(plain)
    set_mask(sparse, "shared", np.eye(4))
    found = statistics(sparse)
    assert found["multiply_accumulates"] == 2 * 4 + 16 + 4 and found["flops"] == 28 / 52
    assert found["dense_bytes"] == 4 * plain.count_params()


def test_embeddings_and_layers_without_masks():
    """Embeddings multiply nothing, layers of other kinds do not count, unmasked kernels in full."""
    model = sparsify(
        net(
            (5,),
            layers.Embedding(6, 4, name="words"),
            layers.TimeDistributed(layers.Dense(3)),
            layers.LSTM(2, name="lstm"),
            layers.Dense(2, name="out"),
        )
    )
    set_mask(model, "words", np.eye(6, 4))
    set_mask(model, "out", np.eye(2))
    found = statistics(model)
    assert list(found["layers"]) == ["words", "lstm/0", "lstm/1", "out"]
    assert found["multiply_accumulates"] == 4 * 3 * 5 + 2 and found["flops"] == 62 / 64
    assert found["layers"]["words"]["no_output"] == 2  # words that are all zero
    assert found["dense_bytes"] == 4 * strip(model).count_params()


def test_unknown_shapes():
    """Positions that depend on the image are not guessed; nor is there a part of nothing."""
    anywhere = net((None, None, 3), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D())
    words = net((5,), layers.Embedding(6, 4))
    for model in (anywhere, words):
        found = statistics(sparsify(model))
        assert found["flops"] is None and found["multiply_accumulates"] is None
        json.dumps(found)


@pytest.mark.parametrize("kind", ["conv", "grouped", "transposed", "depthwise"])
def test_cut_off_channels(kind):
    """A channel is cut off when no place of the kernel has a weight left for it."""
    layer = {
        "conv": layers.Conv2D(4, 3),
        "grouped": layers.Conv2D(4, 3, groups=2),
        "transposed": layers.Conv2DTranspose(4, 3),
        "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2),
    }[kind]
    layer._name = "it"
    model = sparsify(net((8, 8, 6 if kind == "grouped" else 3), layer))
    mask = np.zeros(next(masked_weights(model)).mask.shape)
    if kind == "conv":  # input 1 to outputs 0 and 2; inputs 0 and 2 to none
        mask[0, 1, 1, 0] = mask[2, 2, 1, 2] = mask[1, 1, 1, 2] = 1
        expected = 2, 2
    elif kind == "grouped":  # inputs 0-2 go to outputs 0 and 1, inputs 3-5 to 2 and 3
        mask[0, 1, 1, 0] = mask[0, 0, 2, 0] = mask[1, 1, 0, 3] = 1
        expected = 2, 3
    elif kind == "transposed":  # [height, width, outputs, inputs]
        mask[0, 0, 3, 0] = mask[0, 1, 2, 0] = 1
        expected = 2, 2
    else:  # input 0 to both its outputs, input 2 to the second of its own
        mask[0, 0, 0, :] = mask[1, 2, 2, 1] = 1
        expected = 3, 1
    set_mask(model, "it", mask)
    found = statistics(model)
    assert (found["no_input"], found["no_output"]) == expected
    assert (found["layers"]["it"]["no_input"], found["layers"]["it"]["no_output"]) == expected


def test_both_kernels_of_separable_layers():
    model = sparsify(net((5, 5, 3), layers.SeparableConv2D(4, 3, depth_multiplier=2, name="it")))
    depthwise, pointwise = np.ones((3, 3, 3, 2)), np.ones((1, 1, 6, 4))
    depthwise[:, :, 1, :] = 0
    pointwise[0, 0, :, 3] = 0
    set_mask(model, "it/depthwise_kernel", depthwise)
    set_mask(model, "it/pointwise_kernel", pointwise)
    first, second = statistics(model)["layers"].values()
    assert (first["no_input"], first["no_output"], first["active"]) == (2, 1, 36)
    assert (second["no_input"], second["no_output"], second["active"]) == (1, 0, 18)


@pytest.mark.parametrize(
    "inputs, outputs, active, encoding, size",
    [
        (4, 8, 31, "dense", 128),  # a bitmap takes as much
        (4, 8, 30, "bitmap", 4 + 120),
        (3, 3, 0, "bitmap", 2),
        (2, 2**16, 3, "csr", (4 + 2) * 3 + 4 * 3),
        (2, 2**16 + 1, 3, "csr", (4 + 4) * 3 + 4 * 3),
    ],
)
def test_encodings_by_hand(inputs, outputs, active, encoding, size):
    model = sparsify(net((inputs,), layers.Dense(outputs, use_bias=False, name="it")))
    set_mask(model, "it", np.arange(inputs * outputs) < active)
    found = statistics(model)
    assert found["layers"]["it"]["encoding"] == encoding
    assert found["bytes"] == found["layers"]["it"]["bytes"] == size
    assert found["dense_bytes"] == 4 * inputs * outputs


def test_lenet5():
    """The published numbers of weights, and 2.293 million multiply-accumulates."""
    dense = models.lenet5()
    found = statistics(dense)
    assert found["multiply_accumulates"] == 500 * 576 + 25_000 * 64 + 400_000 + 5_000
    assert found["layers"] == {} and found["density"] == found["flops"] == 1
    assert found["exploration"] == 1 and found["size"] == found["no_input"] == 0
    assert found["bytes"] == found["dense_bytes"] == 4 * 431_080
    sparse = sparsify(dense, Magnitude(0.1))
    found = statistics(AdversarialModel(sparse))
    assert found == statistics(sparse)
    assert found["density"] == found["exploration"] == 0.1 == found["flops"]
    assert found["multiply_accumulates"] == 229_300
    bitmaps = [-(-size // 8) + 4 * size // 10 for size in (500, 25_000, 400_000, 5_000)]
    assert [layer["bytes"] for layer in found["layers"].values()] == bitmaps
    assert found["bytes"] == sum(bitmaps) + 4 * 580
    assert statistics(strip(sparse)) == statistics(dense)


def test_other_models():
    """Subclassed and unbuilt ones have no layers, and nothing that is known."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    own = Own()
    own(tf.zeros([1, 3]))
    for model, count in ((own, 8), (keras.Sequential([layers.Dense(2)]), 0)):
        found = statistics(model)
        assert found["density"] == 1 and found["flops"] is None and found["layers"] == {}
        assert found["bytes"] == found["dense_bytes"] == 4 * count


@pytest.fixture(scope="module")
def varied() -> keras.Model:
    """A network with each kind of kernel, and a method that grows."""
    model = net(
        (8, 8, 2),
        layers.Conv2D(4, 3, strides=2, padding="same", name="conv"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
        layers.SeparableConv2D(5, 2, padding="same", name="separable"),
        layers.Conv2DTranspose(3, 2, name="transposed"),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.BatchNormalization(),
        layers.Dense(10, name="logits"),
    )
    return sparsify(model, RigL(0.5))


@settings(max_examples=10)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_bounds_and_numpy(varied, density, before, seed):
    """What holds for all masks, and what NumPy says on the kernels as they are."""
    rng = np.random.default_rng(seed)
    for entry, seen in zip(masked_weights(varied), varied.ever_active, strict=True):
        entry.mask.assign(rng.random(entry.mask.shape) < density)
        seen.assign(rng.random(entry.mask.shape) < before)
    store_masked(varied)
    found, ever = statistics(varied), [seen.numpy() for seen in varied.ever_active]
    assert 0 <= found["flops"] <= 1 and 0 <= found["density"] <= found["exploration"] <= 1
    assert found["bytes"] <= found["dense_bytes"] == 4 * strip(varied).count_params()
    masks = masks_of(varied)
    assert found["density"] == densities(varied)[0]
    assert found["active"] == sum(mask.sum() for mask in masks.values())
    assert found["size"] == sum(mask.size for mask in masks.values())
    for (name, mask), seen in zip(masks.items(), ever, strict=True):
        layer = found["layers"][name]
        assert layer["density"] == densities(varied)[1][name] <= layer["exploration"] <= 1
        assert layer["exploration"] == (seen | mask).mean()
        assert layer["bytes"] <= layer["dense_bytes"] == 4 * mask.size
        if "depthwise" in name:
            sides, side_axes = mask.any(axis=(0, 1)), (0, 1, 3)
            expected = (~sides).sum(), (~mask.any(axis=side_axes)).sum()
        else:
            inputs, outputs = (-1, -2) if name == "transposed" else (-2, -1)
            places = np.moveaxis(mask, (inputs, outputs), (0, 1)).reshape(
                mask.shape[inputs], mask.shape[outputs], -1
            )
            expected = (~places.any(axis=(0, 2))).sum(), (~places.any(axis=(1, 2))).sum()
        assert (layer["no_input"], layer["no_output"]) == expected


@pytest.mark.parametrize("kind", ["plain", "robust", "mirrored"])
def test_after_rigl(kind, digits):
    """In real training `changed` is what the masks say, and exploration what they add up to."""
    keras.utils.set_random_seed(0)
    method = RigL(0.2, update_interval=2, drop_fraction=0.5)
    strategy = devices.strategy("mirrored" if kind == "mirrored" else "none")
    with strategy.scope():
        network = sparsify(models.lenet_300_100((8, 8, 1), width=0.2), method)
        if kind == "plain":
            model = network
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss, run_eagerly=True)
        else:
            model = AdversarialModel(network)
            model.compile("adam", jit_update=False, run_eagerly=True)
    images = digits[0].gather(tf.range(640, dtype=tf.int64))
    data = tf.data.Dataset.from_tensor_slices(images).batch(64)

    def train(steps: int) -> dict[str, np.ndarray]:
        model.fit(data.skip(network.step.read_value()), epochs=1, steps_per_epoch=steps, verbose=0)
        return masks_of(network)

    ever, rates = masks_of(network), []
    before = train(2)
    assert statistics(model)["changed"] == 0
    for _ in range(3):
        after = train(1)  # steps 2, 4 and 6 are updates
        found = statistics(model)
        for name, mask in after.items():
            ever[name] = ever[name] | mask
            layer = found["layers"][name]
            assert layer["changed"] == np.sum(before[name] != mask)
            assert layer["exploration"] == ever[name].mean()
            assert layer["active"] == mask.sum() and layer["density"] == mask.mean()
        assert found["changed"] == sum(layer["changed"] for layer in found["layers"].values()) > 0
        rates.append(found["exploration"])
        before = train(1)
        assert statistics(model)["changed"] == found["changed"]  # of the last update, still
    assert found["density"] == pytest.approx(0.2, abs=1e-3)
    assert found["density"] < rates[0] < rates[1] < rates[2] <= 1


def test_reads_only(make_lenet):
    """No variable changes, to the bit."""
    model = make_lenet(0.3)
    before = [variable.numpy().tobytes() for variable in model.variables]
    statistics(model)
    assert [variable.numpy().tobytes() for variable in model.variables] == before
