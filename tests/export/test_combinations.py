"""Every row of the table: what is allowed runs right; what is refused would not."""

import errno
import functools
import itertools
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import files, sparsify
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import tflite, tflite_logits, to_tflite, verification
from robust_sparse_tf.export.combinations import COMBINATIONS, refusal
from robust_sparse_tf.export.formats import QUANTIZATIONS
from robust_sparse_tf.export.patterns import PATTERNS, Pattern, patterns_of
from robust_sparse_tf.export.quantization import (
    convert,
    quantised,
    quantization_of,
    sparse_layers,
)
from robust_sparse_tf.export.verification import LIMITS, RESOLVERS
from robust_sparse_tf.sparsity import Magnitude

layers = keras.layers
IMAGES = np.random.default_rng(0).random((200, 8, 8, 1), np.float32)
WITH_XNNPACK, WITHOUT_XNNPACK = RESOLVERS


def zeros(pattern: str, inputs: int, outputs: int) -> np.ndarray:
    """Which weights are pruned; four fifths, except those of "dense" and "2:4"."""
    rng = np.random.default_rng(0)
    if pattern == "dense":
        return np.zeros([inputs, outputs], bool)
    if pattern == "2:4":
        return np.argsort(rng.random([inputs // 4, 4, outputs]), 1).reshape(inputs, outputs) < 2
    if pattern == "units":  # of which the converter makes blocks
        return np.broadcast_to(rng.random(outputs) < 0.6, [inputs, outputs])
    block = int(pattern[6:-2]) if pattern.startswith("block") else 1
    keep = rng.random([-(-inputs // block), outputs]) < 0.2
    return ~np.repeat(keep, block, axis=0)[:inputs]


@functools.cache
def network(*patterns: str, inputs: int = 64, convolution: bool = False) -> keras.Model:
    """A network whose layers have these patterns of zeros."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten()])
    if inputs < 64:
        model.add(layers.Reshape((64, 1)))
        model.add(layers.Cropping1D((0, 64 - inputs)))
        model.add(layers.Flatten())
    if convolution:
        model = keras.Sequential([layers.Input((8, 8, 1))])
        model.add(layers.Conv2D(8, 3, strides=2, activation="relu", bias_initializer="normal"))
        model.add(layers.Conv2D(8, 3, activation="relu", bias_initializer="normal"))
        model.add(layers.Flatten())
    while len(model.weights) < 2 * len(patterns):
        last = len(model.weights) == 2 * len(patterns) - 2
        model.add(layers.Dense(10 if last else 32, None if last else "relu"))
    kernels = [weight for weight in model.weights if weight.shape.rank > 1]
    for kernel, pattern in zip(kernels, patterns, strict=True):
        shape = tuple(kernel.shape)
        pruned = zeros(pattern, int(np.prod(shape[:-1])), shape[-1])
        kernel.assign(np.where(pruned.reshape(shape), 0, kernel.numpy()))
    return model


NETWORKS = {
    "dense": lambda: network("dense", "dense"),
    "random": lambda: network("random", "random"),
    "2:4": lambda: network("2:4", "2:4"),
    "block:4x1": lambda: network("block:4x1", "block:4x1"),
    "block:16x1": lambda: network("block:16x1", "block:16x1"),
    "30 inputs": lambda: network("units", "dense", inputs=30),
    "mixed": lambda: network("block:4x1", "dense", "random"),
    "blocks beside dense": lambda: network("block:16x1", "dense"),
    "convolution": lambda: network("dense", "random", "dense", convolution=True),
}
slow = pytest.mark.slow
ALLOWED = [
    *(("random", quantization, False) for quantization in QUANTIZATIONS),
    *(("convolution", quantization, False) for quantization in QUANTIZATIONS),
    ("random", "fp32", True),
    ("random", "fp16", True),
    ("convolution", "fp32", True),
    ("block:4x1", "fp32", True),
    ("mixed", "fp32", True),
    ("convolution", "full_int8", True),
    ("blocks beside dense", "full_int8", True),
    pytest.param("convolution", "fp16", True, marks=slow),
    pytest.param("2:4", "fp32", True, marks=slow),
    pytest.param("2:4", "fp16", True, marks=slow),
    pytest.param("block:16x1", "fp32", True, marks=slow),
    pytest.param("block:16x1", "full_int8", True, marks=slow),
]
CUT, NO_KERNEL, UNKNOWN = "cuts off the last inputs", "XNNPACK does not run", "ai-edge-quantizer"
REFUSED = [
    ("30 inputs", "fp32", CUT),
    ("30 inputs", "full_int8", CUT),
    ("block:4x1", "fp16", "compute NaN"),
    ("mixed", "fp16", "compute NaN"),
    ("30 inputs", "fp16", "compute NaN"),
    ("random", "full_int8", NO_KERNEL),
    ("2:4", "full_int8", NO_KERNEL),
    ("block:4x1", "full_int8", NO_KERNEL),
    *(
        (name, bits, UNKNOWN)
        for name in ("random", "block:4x1", "convolution")
        for bits in ("int8", "int4")
    ),
    *(("dense", quantization, "no layer has enough zeros") for quantization in QUANTIZATIONS[:4]),
]


@functools.cache
def converted(name: str, quantization: str, sparse: bool) -> bytes:
    """A file, whether it is allowed or not."""
    if quantization in ("int8", "int4"):
        return quantised(converted(name, "fp32", sparse), int(quantization[3:]))
    return convert(NETWORKS[name](), quantization, sparse, IMAGES[:50])


def difference(content: bytes, name: str, resolver=WITH_XNNPACK) -> float:
    """The largest difference of logits, as a fraction of the model's largest logit."""
    expected = NETWORKS[name]()(IMAGES).numpy()
    found = tflite_logits(content, IMAGES, resolver)
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("name", "quantization", "sparse"), ALLOWED)
def test_allowed_combinations_run_right(name, quantization, sparse, tmp_path, monkeypatch):
    """In batches, too; the file has the quantisation and the encoding that were asked for."""
    monkeypatch.setattr(tflite, "convert", lambda *given: converted(name, quantization, sparse))
    path = tmp_path / "model.tflite"
    to_tflite(
        NETWORKS[name](), path, quantization=quantization, sparse=sparse, representative=IMAGES[:50]
    )
    content = path.read_bytes()
    assert quantization_of(content) == quantization
    pruned = [p for p in patterns_of(NETWORKS[name]()).values() if p.kind != "dense"]
    assert sparse_layers(content) == (len(pruned) if sparse else 0)
    for resolver in RESOLVERS:
        assert difference(content, name, resolver) < LIMITS[quantization].difference
    if sparse and name == "random":
        assert len(content) < len(converted(name, quantization, False))


@pytest.mark.parametrize(("name", "quantization", "words"), REFUSED)
def test_refused_combinations_say_why(name, quantization, words, tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(InputError, match=words) as caught:
        to_tflite(
            NETWORKS[name](), path, quantization=quantization, sparse=True, representative=IMAGES
        )
    assert "\n" not in str(caught.value) and not path.exists()


def test_every_row_is_tried():
    cases = [getattr(case, "values", case) for case in ALLOWED]
    cases += [(name, quantization, True) for name, quantization, _ in REFUSED]
    tried = {
        row
        for name, quantization, sparse in cases
        for row in COMBINATIONS
        if (row.quantization, row.encoding) == (quantization, "sparse" if sparse else "dense")
        if any(row.fits(pattern) for pattern in patterns_of(NETWORKS[name]()).values())
    }
    assert tried == set(COMBINATIONS)


def test_every_layer_has_a_row():
    every = itertools.product(QUANTIZATIONS, PATTERNS, [1, 4, 16, 30], [True, False])
    for quantization, kind, inputs, matrix in every:
        pattern = Pattern(kind, 0.5, inputs, matrix)
        rows = [row for row in COMBINATIONS if row.quantization == quantization]
        assert any(row.encoding == "sparse" and row.fits(pattern) for row in rows)


def test_zeros_are_kept_by_quantisation():
    from ai_edge_litert.interpreter import Interpreter

    expected = [np.mean(w.numpy() == 0) for w in NETWORKS["random"]().weights if w.shape.rank > 1]
    for quantization in ("int8", "full_int8"):
        interpreter = Interpreter(model_content=converted("random", quantization, False))
        interpreter.allocate_tensors()
        kernels = {
            tuple(each["shape"]): np.mean(interpreter.get_tensor(each["index"]) == 0)
            for each in interpreter.get_tensor_details()
            if each["dtype"] == np.int8 and len(each["shape"]) == 2 and each["shape"][0] > 1
        }
        assert sorted(kernels) == [(10, 32), (32, 64)]
        assert kernels[(32, 64)] >= expected[0] and kernels[(10, 32)] >= expected[1]


# The reasons are true.


@pytest.mark.parametrize("quantization", ["fp32", "full_int8"])
def test_inputs_that_are_no_whole_block_are_cut_off(quantization):
    content = converted("30 inputs", quantization, True)
    assert sparse_layers(content) == 1
    for resolver in RESOLVERS:
        assert difference(content, "30 inputs", resolver) > LIMITS[quantization].difference


@pytest.mark.parametrize("name", ["block:4x1", pytest.param("mixed", marks=slow)])
def test_blocks_of_float16_compute_nan(name):
    assert np.isnan(difference(converted(name, "fp16", True), name))


@pytest.mark.parametrize("name", ["random", pytest.param("2:4", marks=slow)])
def test_xnnpack_does_not_run_single_weights_of_8_bits(name):
    content = converted(name, "full_int8", True)
    assert difference(content, name, WITHOUT_XNNPACK) < LIMITS["full_int8"].difference
    with pytest.raises(RuntimeError, match="failed to delegate"):
        tflite_logits(content, IMAGES, WITH_XNNPACK)


def test_the_quantizer_does_not_know_the_sparse_encoding():
    for bits in (8, 4):
        left = quantised(converted("random", "fp32", True), bits)
        assert quantization_of(left) == "fp32"
        with pytest.raises(ValueError, match="cannot reshape"):
            quantised(converted("block:4x1", "fp32", True), bits)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "block:4x1", "block:16x1"])
def test_xnnpack_runs_no_sparse_layers_of_8_bits_with_real_activations(name):
    """The converter's, which is the other way to dynamic int8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(NETWORKS[name]())
    converter.optimizations = [tf.lite.Optimize.DEFAULT, tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    content = converter.convert()
    assert sparse_layers(content)
    try:
        assert not difference(content, name, WITH_XNNPACK) < 0.1
    except RuntimeError as error:
        assert "failed to delegate" in str(error)


def test_what_the_table_allows_wrongly_is_not_written(tmp_path, monkeypatch):
    """A wrong row is noticed when the file is compared; an earlier file stays."""
    monkeypatch.setattr(tflite, "refusal", lambda *given: "")
    path = tmp_path / "model.tflite"
    path.write_bytes(b"earlier")
    for name, quantization in [
        ("30 inputs", "fp32"),
        ("block:4x1", "fp16"),
        ("random", "full_int8"),
        ("30 inputs", "full_int8"),
    ]:
        content = converted(name, quantization, True)
        monkeypatch.setattr(tflite, "convert", lambda *given, content=content: content)
        with pytest.raises(TrainingError, match="TFLite logits differ"):
            to_tflite(
                NETWORKS[name](),
                path,
                quantization=quantization,
                sparse=True,
                representative=IMAGES[:50],
            )
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


def test_layers_that_cannot_be_quantised_are_reported(tmp_path):
    """The quantizer passes over depthwise convolutions without an error."""
    inner = [layers.DepthwiseConv2D(3), layers.GlobalAveragePooling2D()]
    path, model = tmp_path / "model.tflite", keras.Sequential([layers.Input((8, 8, 3)), *inner])
    with pytest.raises(InputError, match="cannot be written as int4: no layer is one that can be"):
        to_tflite(model, path, quantization="int4")
    assert not path.exists()


def test_layers_that_are_stored_dense_all_the_same_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "convert", lambda *given: converted("random", "fp32", False))
    path = tmp_path / "model.tflite"
    with pytest.raises(InputError, match="cannot be written as sparse fp32: no layer is one that"):
        to_tflite(NETWORKS["random"](), path, sparse=True)
    assert not path.exists()


def test_by_default_a_file_is_sparse_where_that_is_right(tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(NETWORKS["30 inputs"](), path)  # which cannot be sparse
    assert sparse_layers(path.read_bytes()) == 0


def test_wrong_options_are_refused(tmp_path):
    path, model = tmp_path / "model.tflite", NETWORKS["random"]()
    cases = [
        (dict(quantization="int2"), "quantization=int2: must be one of fp32, fp16, int8"),
        (dict(quantization=8), "quantization=8: must be one of"),
        (dict(sparse="yes"), "sparse='yes': must be True or False"),
        (dict(quantization="full_int8"), "quantization=full_int8: needs representative images"),
        (dict(representative=IMAGES[:, :7]), r"representative of shape \(200, 7, 8, 1\): must be"),
        (dict(representative=IMAGES[:3]), r"representative of shape \(3, .*n at least 10"),
        (dict(representative="images"), "representative of type str"),
        (dict(representative=IMAGES * np.nan), "representative: 200 of them hold NaN"),
    ]
    for options, words in cases:
        with pytest.raises(InputError, match=f"^{words}") as caught:
            to_tflite(model, path, **options)
        assert "\n" not in str(caught.value) and not path.exists()
    with pytest.raises(InputError, match="quantization=fp8: must be one of"):
        refusal("fp8", True, model)


def test_keras_3_models_are_refused(tmp_path):
    import keras as keras_3

    model = keras_3.Sequential([keras_3.layers.Input((4,)), keras_3.layers.Dense(3)])
    for quantization in QUANTIZATIONS:
        with pytest.raises(InputError, match="must be a tf_keras model .*which are Keras 3"):
            to_tflite(model, tmp_path / "model.tflite", quantization=quantization)


@pytest.mark.parametrize("quantization", ["fp32", "int4"])
def test_operations_that_tflite_does_not_have_are_refused(quantization, tmp_path):
    inputs = layers.Input((4,))
    doubled = layers.Lambda(
        lambda x: tf.ensure_shape(tf.py_function(lambda y: 2 * y, [x], tf.float32), [None, 4])
    )
    model = keras.Model(inputs, layers.Dense(3)(doubled(inputs)))
    path = tmp_path / "model.tflite"
    with pytest.raises(InputError, match=f"^model {model.name}: cannot be converted") as caught:
        to_tflite(model, path, quantization=quantization)
    assert "\n" not in str(caught.value) and not path.exists()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(tflite, "convert", lambda *given: converted("random", "int4", False))
    with pytest.raises(files.WriteError, match="No space left on device: .*model.tflite"):
        to_tflite(NETWORKS["random"](), tmp_path / "model.tflite", quantization="int4")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("shape", [(30,), (784, 300, 100), (64, 48)])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_sweep_of_shapes(quantization, shape, density, tmp_path):
    """A sparse file is right or refused, whatever the shape; a dense one is right."""
    keras.utils.set_random_seed(0)
    inner = [layers.Dense(units, "relu") for units in (*shape[1:], 22)]
    dense = keras.Sequential([layers.Input(shape[:1]), *inner, layers.Dense(10)])
    model, path = sparsify(dense, Magnitude(density)), tmp_path / "model.tflite"
    images = np.random.default_rng(0).random((1000, shape[0]), np.float32)
    options = dict(quantization=quantization, representative=images[:100])
    to_tflite(model, path, **options, sparse=False)
    verification.verify(path, model, images)
    try:
        to_tflite(model, path, **options, sparse=True)
    except InputError as error:
        assert "cannot be written as sparse" in str(error)
    else:
        assert sparse_layers(path.read_bytes())
        verification.verify(path, model, images)
