"""The twin of a file predicts what the file predicts, and has the gradients of the network."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
import tflite_files
from ai_edge_litert.schema_py_generated import ModelT
from hypothesis import strategies as st
from tf_keras import layers

from robust_sparse_tf import attacks, export, models
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.twins import rounding
from robust_sparse_tf.export.twins.reading import read
from robust_sparse_tf.export.twins.twin import compared

NETWORKS = {"convolutional": tflite_files.convolutional, "mixed": tflite_files.mixed}
EXACT = ("fp32", "fp16", "sparse", "sparse_fp16")


@pytest.fixture(scope="module")
def images(digits):
    return digits[0].images.astype(np.float32)[:1000]


@pytest.fixture(scope="module")
def networks(digits):
    """A little trained, so that activations have the usual ranges."""
    found = {}
    for name, make in NETWORKS.items():
        keras.utils.set_random_seed(0)
        found[name] = make()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found[name].compile(keras.optimizers.Adam(0.01), loss)
        found[name].fit(digits[0].images, digits[0].labels, verbose=0)
    return found


@pytest.fixture(scope="module")
def file_of(networks, images):
    """Files by network and kind, each converted once."""
    made = {}

    def get(name: str, kind: str) -> bytes:
        if (name, kind) not in made:
            made[name, kind] = tflite_files.converted(networks[name], kind, images)
        return made[name, kind]

    return get


LONG = [("mixed", kind) for kind in ("fp32", "fp16", "int4", "full_int8_inputs")]
PAIRS = [
    pytest.param(name, kind, marks=[pytest.mark.slow] * ((name, kind) in LONG))
    for name in NETWORKS
    for kind in tflite_files.KINDS
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_twin_predicts_what_the_file_predicts(name, kind, file_of, images):
    twin = export.twin(file_of(name, kind))
    found = twin.agreement(images)
    assert found.counts and found.images == 1000 and found.same > 990
    difference = np.abs(twin(images) - export.tflite_logits(file_of(name, kind), images))
    # Quantised, a few halves are rounded to the other side.
    assert difference.max() < 1e-4 if kind in EXACT else difference.mean() < found.noise / 100


# The converter's files of blocks in float16 are wrong.
@pytest.mark.parametrize(
    ("kind", "pattern"), [("sparse", "random"), ("sparse", "blocks"), ("sparse_fp16", "random")]
)
def test_sparse_weights_are_decoded(kind, pattern, images):
    """Bit by bit in float32; a file stores blocks of four inputs."""
    rng, mask = np.random.default_rng(0), np.ones([64, 12])
    if pattern == "random":
        mask = rng.random(mask.shape) < 0.1
    else:
        mask = np.repeat(rng.random([16, 12]) < 0.1, 4, axis=0)
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(12)])
    model.set_weights([model.get_weights()[0] * mask, np.arange(12.0)])
    content = tflite_files.converted(model, kind, images)
    if kind == "sparse":
        dense = [each.stored for each in read(content).tensors if each.shape == (12, 64)]
        np.testing.assert_array_equal(dense[0], model.get_weights()[0].T)
    np.testing.assert_allclose(
        export.twin(content)(images), export.tflite_logits(content, images), atol=1e-5
    )


def gradient(model, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.nn.log_softmax(model(x))[:, 3])
    return tape.gradient(loss, x).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_network(name, networks, file_of, images):
    x = tf.constant(images[:50])
    found = gradient(export.twin(file_of(name, "fp32")), x)
    expected = gradient(lambda x: networks[name](x, training=False), x)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["int8", "int4", "full_int8", "full_int8_inputs"])
def test_gradients_pass_straight_through_rounding(kind, networks, file_of, images):
    """They point where the network's do, though the file is a function of steps."""
    x = tf.constant(images[:50])
    found = gradient(export.twin(file_of("convolutional", kind)), x).ravel()
    expected = gradient(networks["convolutional"], x).ravel()
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > (0.8 if kind == "int4" else 0.95)


def test_an_attack_runs_in_graphs_on_batches_of_any_size(file_of, images, digits):
    twin, labels = export.twin(file_of("convolutional", "full_int8")), digits[0].labels
    attack = attacks.FGSM(epsilon=0.2)
    traced = tf.function(lambda x, y: attack(twin, x, y), reduce_retracing=True)
    for count in (3, 7):
        x, y = tf.constant(images[:count]), tf.constant(labels[:count])
        np.testing.assert_allclose(traced(x, y), attack(twin, x, y), atol=1e-5)


def test_files_of_a_fixed_batch_size_have_a_twin_for_any(images):
    model = tflite_files.convolutional()
    call = tf.function(lambda x: model(x, training=False))
    concrete = call.get_concrete_function(tf.TensorSpec([1, 8, 8, 1]))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    assert export.twin(converter.convert()).agreement(images[:30]).same == 30


def test_large_weights_are_read_from_behind_the_flatbuffer():
    images = np.random.default_rng(0).random((30, 28, 28, 1), np.float32)
    model = models.lenet_300_100((28, 28, 1))
    content = tflite_files.converted(model, "int8", images)
    assert any(buffer.offset > 1 for buffer in ModelT.InitFromPackedBuf(content).buffers)
    assert export.twin(content).agreement(images).counts


def test_predictions_may_differ_only_in_ties():
    expected = np.array([[1.0, 2.0], [1.0, 1.0], [0.0, 0.05]])
    other = expected[:, ::-1]
    assert compared(expected, expected, 0.1).counts
    found = compared(other, expected, 0.1)
    assert (found.same, found.tied, found.counts) == (1, 1, False)
    assert found.difference == 1
    assert compared(other[1:], expected[1:], 0.1).counts
    assert not compared(other[1:], expected[1:], 0.05).counts  # one whole step apart
    assert str(found).startswith("predicts what the file predicts on 1 of 3 images (1 others are")


def test_a_damaged_twin_does_not_agree(file_of, images):
    twin = export.twin(file_of("convolutional", "fp32"))
    for number, value in twin._constants.items():
        if value.dtype == tf.float32:
            twin._constants[number] = -value
    assert not twin.agreement(images).counts


@hypothesis.given(st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=8), st.booleans())
def test_numbers_on_the_fly_are_near(values, xnnpack):
    """Within a step of the real ones, whole, in the range of eight bits; 0 stays 0."""
    x = tf.constant([[*values, 0.0]])
    numbers, scale = rounding.on_the_fly(x, [-1], xnnpack)
    numbers, scale = numbers.numpy(), scale.numpy()
    assert (numbers == np.round(numbers)).all() and np.ptp(numbers) <= 255
    assert numbers[0, -1] == 0
    assert np.abs(numbers * scale - x).max() <= scale.max() * 1.01


def test_damaged_files_get_one_line(file_of, tmp_path):
    """Wherever they are cut off, or whichever byte is wrong."""
    content = file_of("convolutional", "int8")
    rng = np.random.default_rng(0)
    broken = [content[:size] for size in np.linspace(0, len(content) - 1, 40).astype(int)]
    for place in rng.integers(0, len(content), 40):
        changed = bytearray(content)
        changed[place] ^= 255
        broken.append(bytes(changed))
    refused = 0
    for each in broken:
        try:
            export.twin(each)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 500
    assert refused >= 30  # a wrong byte of a weight is not noticed, nor is the end of metadata


def unknown():
    inputs = layers.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(tf.sin(inputs))))


def without_classes():
    inputs = layers.Input((8, 8, 1))
    return keras.Model(inputs, layers.Conv2D(3, 1)(inputs))


def test_files_without_twin_get_one_line(images, tmp_path):
    text = tmp_path / "text"
    text.write_text("no model")
    cases = [
        (lambda: tflite_files.converted(unknown(), "fp32", images), "operation SIN has no twin"),
        (
            lambda: tflite_files.converted(without_classes(), "fp32", images),
            r"outputs of shape \(1, 8, 8, 3\): must be logits",
        ),
        (lambda: b"no model", "content: must be that of a TFLite file"),
        (lambda: text, "cannot be read: must be"),
        (lambda: tmp_path / "none", "does not exist"),
        (lambda: None, "model=None: must be the path or the bytes"),
    ]
    for given, words in cases:
        with pytest.raises(InputError, match=words) as caught:
            export.twin(given())
        assert "\n" not in str(caught.value)


def test_other_images_get_one_line(file_of):
    twin = export.twin(file_of("convolutional", "fp32"))
    for call in (twin, twin.agreement):
        with pytest.raises(InputError, match="images of shape"):
            call(np.zeros([2, 7, 7, 1], np.float32))
