"""Packed files: each bit of each weight, and no file that is damaged or runs code."""

import json
import sys

import numpy as np
import pytest
import safetensors.numpy
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st

from robust_sparse_tf import sparsity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import forms, load, load_model, load_packed, to_packed

layers = keras.layers
SPECIAL = {
    "float16": [0.0, -0.0, np.nan, np.inf, 6e-8, 1.5],
    "float32": [0.0, -0.0, np.nan, -np.inf, 1e-45, -2.5],
    "float64": [0.0, -0.0, np.nan, np.inf, 5e-324, 0.1],
    "bfloat16": [0.0, -0.0, np.nan, np.inf, 1e-40, 3.0],
    "int8": [0, -128, 127],
    "int64": [0, -1, 2**62],
}


@keras.saving.register_keras_serializable("test_packed")
class Holder(layers.Layer):
    """A layer with one weight of a type and shape."""

    def __init__(self, kind, sizes, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.sizes = kind, sizes
        self.own = self.add_weight("own", sizes, kind, "zeros", trainable=False)

    def call(self, x):
        return x

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "sizes": list(self.sizes)}


def bits(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8)


def assert_same(first: keras.Model, second: keras.Model) -> None:
    for own, other in zip(first.weights, second.weights, strict=True):
        assert own.shape == other.shape and own.dtype == other.dtype and own.name == other.name
        np.testing.assert_array_equal(bits(own.numpy()), bits(other.numpy()))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("packed") / "model.safetensors")


@given(
    kind=st.sampled_from(list(SPECIAL)),
    sizes=st.lists(st.integers(0, 9), max_size=3),
    density=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_each_bit_is_kept(kind, sizes, density, seed, path):
    model = keras.Sequential([layers.Input((2,)), Holder(kind, sizes)])
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(sizes) < density, rng.choice(np.array(SPECIAL[kind]), sizes), 0)
    (weight,) = model.weights
    weight.assign(np.asarray(values).astype(weight.dtype.as_numpy_dtype))
    to_packed(model, path)
    assert_same(load_packed(path, modules=[__name__]), model)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Normalization(mean=0.5, variance=0.04),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    return sparsity.sparsify(made, sparsity.Magnitude(density=0.1))


def test_a_sparse_model(model, tmp_path):
    path = tmp_path / "model.safetensors"
    size = to_packed(model, str(path))
    assert size == path.stat().st_size and forms.form_of(str(path)) == "packed"
    for loaded in (load_packed(path), load_model(path)):
        assert_same(loaded, sparsity.strip(model))
    x = np.random.default_rng(0).random((2, 6, 6, 1), np.float32)
    np.testing.assert_array_equal(load(path)(x), sparsity.strip(model)(x))
    assert to_packed(model, str(path)) == size
    tensors = safetensors.numpy.load_file(path)
    assert "0.mask" in tensors and "2" in tensors  # a sparse kernel, and scales of one


def test_statistics_that_were_adapted(tmp_path):
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).random((9, 4)))
    model = keras.Sequential([layers.Input((4,)), norm, layers.Dense(3)])
    to_packed(model, str(tmp_path / "model"))
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(load_packed(tmp_path / "model")(x), model(x))


def test_it_is_smaller(make_lenet, tmp_path):
    """One or two bits per weight (pruned ones may be -0), and 32 for those that are not zero."""
    sizes = [to_packed(make_lenet(density), str(tmp_path / "x")) for density in (1.0, 0.1)]
    weights, header = 50_200, 5_000
    assert 4 * weights < sizes[0] < 4 * weights + header
    assert sizes[1] < 2 * weights / 8 + 0.11 * 4 * weights + header


@given(data=st.data())
def test_damage_is_one_line_or_changes_numbers_only(data, model, path):
    to_packed(model, path)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    with open(path, "wb") as file:
        file.write(content)
    try:
        loaded = load_packed(path)
    except InputError as error:
        assert path in str(error) and "\n" not in str(error)
    else:
        expected = sparsity.strip(model).weights
        assert [each.shape for each in loaded.weights] == [each.shape for each in expected]


def changed(path, target, change) -> str:
    """The file with other metadata and tensors."""
    with safetensors.safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()["robust_sparse_tf"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, tensors)
    safetensors.numpy.save_file(tensors, target, {"robust_sparse_tf": json.dumps(metadata)})
    return str(target)


def cut_values(metadata, tensors):
    tensors["0.values"] = tensors["0.values"][:-1]


def huge(metadata, tensors):
    metadata["weights"][0]["shape"] = [10**6, 10**6]


def padded(metadata, tensors):
    tensors["0.mask"] = np.append(tensors["0.mask"], np.uint8(0))


def other_type(metadata, tensors):
    metadata["weights"][0]["dtype"] = "float64"


def fewer(metadata, tensors):
    metadata["weights"].pop()


def version(metadata, tensors):
    metadata["version"] = 2


def layer(metadata, tensors):
    metadata["config"] = metadata["config"]["config"]["layers"][-1]


def more_signs(metadata, tensors):
    tensors["0.negative"] = np.ones(100, np.uint8)


def missing(metadata, tensors):
    del tensors["0.mask"]


CHANGES = [cut_values, huge, padded, other_type, fewer, version, layer, more_signs, missing]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_parts_that_do_not_fit(change, model, tmp_path):
    to_packed(model, str(tmp_path / "first"))
    path = changed(tmp_path / "first", tmp_path / "model", change)
    with pytest.raises(InputError, match="cannot be read, is damaged or incomplete") as caught:
        load_packed(path)
    assert "\n" not in str(caught.value)


def test_code_is_refused(model, tmp_path):
    def change(metadata, tensors):
        dense = metadata["config"]["config"]["layers"][-1]["config"]
        dense["activation"] = {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        }

    to_packed(model, str(tmp_path / "first"))
    path = changed(tmp_path / "first", tmp_path / "model", change)
    with pytest.raises(InputError, match=r"names os\.system, .* give --trust"):
        load(path)


def test_other_files_and_missing_packages(model, tmp_path, monkeypatch):
    other = tmp_path / "arrays.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(3)}, other)
    with pytest.raises(InputError, match="holds arrays and no model"):
        load(other)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="must be a packed file"):
            load_packed(path)
    with pytest.raises(InputError, match="must be built"):
        to_packed(keras.Sequential([layers.Dense(3)]), str(tmp_path / "model"))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InputError, match="^safetensors is not installed; pip install"):
        to_packed(model, str(tmp_path / "model"))
