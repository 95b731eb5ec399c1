"""Networks of any kind are converted right, or refused; quantised files are read by their scale."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import export, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude

layers = keras.layers


def network(shape, *inner, **of_input) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([layers.Input(shape, **of_input), *inner, layers.Dense(3)])


def tokens(*inner, dtype="int32") -> keras.Model:
    return network((6,), layers.Embedding(50, 4), *inner, dtype=dtype)


def half_precision() -> keras.Model:
    return network((4,), layers.Dense(4, dtype="mixed_float16"))


def all_in(policy: str) -> keras.Model:
    keras.mixed_precision.set_global_policy(policy)
    try:
        return network((5, 4), layers.Bidirectional(layers.GRU(3)))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def two_inputs() -> keras.Model:
    inputs = layers.Input((4,)), layers.Input((3,))
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(inputs)))


def two_outputs() -> keras.Model:
    inputs = layers.Input((4,))
    return keras.Model(inputs, {"a": layers.Dense(3)(inputs), "b": layers.Dense(2)(inputs)})


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "make, most",
    [
        (lambda: network((5, 4), layers.LSTM(6)), None),
        (lambda: tokens(layers.Flatten()), 50),
        (lambda: network((4,), layers.Rescaling(1 / 255), dtype="uint8"), 256),
        pytest.param(lambda: network((5, 4), layers.GRU(6)), None, marks=slow),
        pytest.param(lambda: network((5, 4), layers.LSTM(6), batch_size=1), None, marks=slow),
        pytest.param(lambda: tokens(layers.GRU(4)), 50, marks=slow),
        pytest.param(lambda: tokens(layers.Flatten(), dtype="float32"), 50, marks=slow),
    ],
)
def test_kinds_that_are_converted(make, most, tmp_path):
    path, model = tmp_path / "model.tflite", sparsify(make(), Magnitude(density=0.3))
    assert export.to_tflite(model, str(path)) == path.stat().st_size
    rng, shape = np.random.default_rng(1), (3, *model.input_shape[1:])
    x = rng.integers(0, most, shape) if most else rng.random(shape)
    x = x.astype(model.input.dtype.as_numpy_dtype)
    expected = [model(x[number : number + 1]).numpy() for number in range(3)]
    found = export.tflite_logits(path.read_bytes(), x)
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: network((None, 4), layers.Conv1D(3, 2), layers.GlobalMaxPooling1D()),
            "must be known",
        ),
        (
            lambda: network((5, 4), layers.GRU(3, stateful=True), batch_size=2),
            "keeps states between calls; build it with stateful=False",
        ),
        (
            lambda: network((1,), layers.StringLookup(vocabulary=["a"]), dtype="string"),
            "has inputs of type string; must have numbers",
        ),
        (two_inputs, "has 2 inputs and 1 outputs; must have one of each"),
        (two_outputs, "has 1 inputs and 2 outputs; must have one of each"),
    ],
)
def test_kinds_that_are_refused(make, words, tmp_path):
    path = tmp_path / "model.tflite"
    model = make()
    with pytest.raises(InputError, match=f"^model {model.name}: .*{words}") as caught:
        export.to_tflite(sparsify(model), str(path))
    assert "\n" not in str(caught.value) and not path.exists()


@pytest.mark.parametrize(
    "make",
    [
        half_precision,
        pytest.param(lambda: network((4,), layers.Dense(4, dtype="float64")), marks=slow),
        pytest.param(lambda: all_in("mixed_float16"), marks=slow),
        pytest.param(lambda: all_in("float16"), marks=slow),
        pytest.param(lambda: all_in("float64"), marks=slow),
    ],
)
def test_other_precisions_are_written_in_float32(make, tmp_path):
    path, model = tmp_path / "model.tflite", make()
    export.to_tflite(model, path)
    x = np.random.default_rng(1).random((3, *model.input_shape[1:]), np.float32)
    found, expected = export.tflite_logits(path.read_bytes(), x), np.asarray(model(x), np.float32)
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_wrong_arguments_are_refused(tmp_path):
    path, model, x = tmp_path / "model.tflite", network((4,)), np.zeros([2, 4], np.float32)
    export.to_tflite(model, path)
    content, text = path.read_bytes(), tmp_path / "text"
    text.write_text("no model at all")
    cases = [
        (lambda: export.agreement(model, tmp_path / "none", x), "model=.*none: does not exist"),
        (lambda: export.agreement(model, text, x), "model=.*text: cannot be read: must be"),
        (lambda: export.agreement(model, path, x[:, :3]), r"images of shape \(2, 3\): must be"),
        (lambda: export.agreement(model, path, x.astype(str)), "images of type ndarray"),
        (lambda: export.tflite_logits(content, x[:0]), r"images of shape \(0, 4\): .* n above 0"),
        (lambda: export.tflite_function(b"no model"), "content: must be that of a TFLite file"),
        (lambda: export.tflite_function(content, "auto"), "resolver='auto': must be a"),
        (lambda: export.agreement(two_inputs(), path, x), "model .*: has 2 inputs; must have one"),
        (lambda: export.load(path, trust="no"), "trust='no': must be True or False"),
        (lambda: export.load(path, modules=1), "modules=1: must be a list"),
        (lambda: export.to_tflite(model, None), "path=None: must be a string"),
        (lambda: export.to_tflite(None, path), "model of type builtins.NoneType: must be a tf_"),
        (lambda: export.to_tflite(keras.Sequential([layers.Dense(3)]), path), ".* must be built"),
        (lambda: export.to_saved_model(keras.Sequential([layers.Dense(3)]), path), ".* be built"),
        (lambda: export.to_saved_model(lambda x: x, path), "model of type builtins.function: must"),
        (lambda: export.load(None), "path=None: must be the path of a file"),
        (lambda: export.load_model(path, trust="no"), "trust='no': must be True or False"),
        (lambda: export.load_model(path, modules="numpy"), "modules='numpy': must be a list"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=f"^{words}") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [tf.int8, tf.uint8])
def test_quantised_files_take_and_give_real_numbers(kind, tmp_path):
    model = network((8,), layers.Dense(16, "relu"))
    x = np.random.default_rng(0).random((60, 8), np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[k : k + 1]] for k in range(60))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = kind
    content = converter.convert()
    found, expected = export.tflite_logits(content, x), model(x).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert export.agreement(model, str(path), x.astype(np.float64)) > 0.9


def test_files_of_whole_numbers_refuse_fractions(tmp_path):
    path = tmp_path / "model.tflite"
    model = network((4,), layers.Rescaling(1 / 255), dtype="uint8")
    export.to_tflite(sparsify(model), str(path))
    with pytest.raises(InputError, match="uint8 inputs: needs whole numbers"):
        export.tflite_logits(path.read_bytes(), np.full((2, 4), 0.5, np.float32))
