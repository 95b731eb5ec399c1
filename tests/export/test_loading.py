"""Models from files: their formats, code in them, and damage."""

import base64
import json
import marshal
import os
import shutil
import sys
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf import sparsity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import forms

FORMS = {"keras": "model.keras", "hdf5": "model.h5", "tflite": "model.tflite"}


def network() -> keras.Model:
    """With an operation, a slice, a function and a class of each kind that networks have."""
    inputs = keras.Input((4,))
    shrunk = keras.regularizers.L2(1e-3)
    hidden = keras.layers.Dense(3, tf.nn.relu, kernel_regularizer=shrunk)(inputs / 2.0)
    hidden = keras.layers.TimeDistributed(keras.layers.Dense(2))(hidden[:, None])
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(tf.nn.tanh(hidden))))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return network()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The same network in all formats; the TFLite file holds one that TFLite can."""
    found = tmp_path_factory.mktemp("models")
    model.save(found / "model.keras")
    model.save(found / "model.h5")
    model.save(found / "saved_model")
    rst.export.to_tflite(rst.models.lenet_300_100((8, 8, 1)), str(found / "model.tflite"))
    return found


def rewritten(folder, target, change) -> str:
    """A `.keras` file whose configuration is another."""
    with zipfile.ZipFile(folder / "model.keras") as source, zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            file.writestr(name, content)
    return str(target)


@pytest.mark.parametrize("form", [*FORMS, "saved_model"])
def test_the_content_decides_the_format(form, folder, tmp_path):
    path = folder / FORMS.get(form, form)
    for name in ("other", "other.tflite", "other.keras", "other.h5"):
        os.symlink(path, tmp_path / name)
        assert forms.form_of(str(tmp_path / name)) == form


@pytest.mark.parametrize("form", ["keras", "hdf5"])
def test_a_model_under_another_name(form, model, folder, tmp_path):
    x = np.random.default_rng(0).random((5, 4), np.float32)
    for name in ("model.h5", "model.keras", "model"):
        os.symlink(folder / FORMS[form], tmp_path / name)
        loaded = rst.export.load_model(str(tmp_path / name))
        np.testing.assert_array_equal(loaded(x), model(x))


def test_a_sparse_model(tmp_path):
    sparse = rst.sparsify(rst.models.lenet_300_100((8, 8, 1)), sparsity.RigL(density=0.2))
    sparse.save(tmp_path / "sparse.keras")
    loaded = rst.export.load_model(str(tmp_path / "sparse.keras"))
    assert sparsity.statistics(loaded)["density"] == pytest.approx(0.2, abs=0.01)


def test_a_saved_model_is_said_to_be_a_program(model, folder):
    x = np.ones((2, 4), np.float32)
    with pytest.warns(rst.errors.RunWarning, match="is a SavedModel, which is a program"):
        logits = rst.export.load(str(folder / "saved_model"))
    np.testing.assert_allclose(logits(x), model(x), atol=1e-6)


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def written(path) -> list:
    """A call, as an operation of a network has it, that writes a file."""
    return [[["input_1", 0, 0, {"filename": str(path), "contents": "x"}]]]


def operation(name: str, module: str | None = "tf_keras.src.layers.core.tf_op_layer") -> dict:
    kind = {"class_name": "TFOpLambda", "config": {"name": "op", "function": name}}
    return kind | ({"module": module, "registered_name": "TFOpLambda"} if module else {})


def code(path) -> str:
    """A function of one argument that writes a file, as Keras stores it."""
    source = compile(f"lambda x: (open({str(path)!r}, 'w').close(), x)[1]", "f", "eval").co_consts
    return base64.b64encode(marshal.dumps(source[0])).decode()


def lambda_config(path) -> dict:
    inner = {"name": "l", "function": [code(path), None, None], "function_type": "lambda"}
    return {"class_name": "Lambda", "config": inner, "registered_name": None}


# What takes the place of a layer's activation, or of a layer.
PAYLOADS = {
    "os.system": function("os", "system"),
    "posix.system": function("posix", "system"),
    "builtins": function("builtins", "exec"),
    "subprocess": function("subprocess", "run"),
    "a name that begins as one of the list": function("keras_evil", "relu"),
    "keras downloads": function("keras.utils", "get_file"),
    "keras loads": function("tf_keras.saving", "load_model"),
    "by another way in": function("tf_keras.src.saving.saving_api", "load_model"),
    "modules of modules": function("tf_keras.src.utils.io_utils.os", "system"),
    "of a class": function("tf_keras.src.layers.core.lambda_layer", "Lambda.from_config"),
    "unsafe mode": function(
        "tf_keras.src.saving.serialization_lib", "enable_unsafe_deserialization"
    ),
    "this library writes": function("robust_sparse_tf.files", "write_text"),
    "tfmot": function("tensorflow_model_optimization.python.core.keras.compat", "keras"),
    "a class": {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
    "a class registered by another name": {
        "module": "tf_keras.src.layers.core.lambda_layer",
        "class_name": "Nothing",
        "registered_name": "Lambda",
        "config": {},
    },
    "a function as a class": {
        "module": "os",
        "class_name": "system",
        "config": {"command": "true"},
    },
    "a lambda": {"class_name": "__lambda__", "config": {"value": "x"}, "module": "builtins"},
    "a type": {"class_name": "__typespec__", "spec_name": "Popen", "module": "os", "config": []},
    "write_file": operation("io.write_file"),
    "load_library": operation("load_op_library", None),
    "py_function": operation("compat.v1.py_func"),
    "a SavedModel in a layer": {
        "module": "tf_keras.src.export.export_lib",
        "class_name": "ReloadedLayer",
        "config": {"filepath": "saved_model"},
    },
    "words from a file": {
        "module": "tf_keras.layers",
        "class_name": "StringLookup",
        "config": {"vocabulary": "/etc/passwd"},
    },
    "an operation of any kind": {"class_name": "TensorFlowOpLayer", "config": {"node_def": ""}},
    "a method of a class": {"class_name": "ClassMethod", "config": {"method_name": "x"}},
    "a shape of another module": {"class_name": "TensorShape", "module": "os", "config": {}},
    "no name": {"module": "os", "class_name": ["system"], "config": {}},
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("place", ["activation", "layer", "argument"])
def test_code_in_a_configuration_is_refused(payload, place, folder, tmp_path):
    def change(config):
        layers = config["config"]["layers"]
        dense = next(layer for layer in layers if layer["class_name"] == "Dense")
        if place == "activation":
            dense["config"]["activation"] = payload
        elif place == "argument":
            dense["inbound_nodes"][0][0].append({"x": payload})
        else:
            layers.append(payload | {"name": "added", "inbound_nodes": []})

    path = rewritten(folder, tmp_path / "model.keras", change)
    with pytest.raises(InputError, match=r"trust=True") as error:
        rst.export.load_model(path)
    assert path in str(error.value) and "\n" not in str(error.value)


def test_a_called_function_runs_nothing(folder, tmp_path):
    """The whole attack: a function in a layer's place, called with an argument of its own."""
    made = tmp_path / "made"

    def change(config):
        call = {"args": [f"touch {made}"], "kwargs": {}}
        config["config"]["layers"].append(
            function("os", "system") | {"name": "l", "inbound_nodes": [call]}
        )

    path = rewritten(folder, tmp_path / "model.keras", change)
    with pytest.raises(InputError, match=r"names os\.system"):
        rst.export.load(path)
    assert not made.exists()


@pytest.mark.parametrize("form", ["model.h5", "model.keras", "renamed.keras", "renamed.h5"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_lambda_runs_only_where_it_is_trusted(form, wrapped, tmp_path):
    made = str(tmp_path / "made")
    scope: dict = {}
    exec(f"def f(x):\n    open({made!r}, 'w').close()\n    return x", scope)
    layer = keras.layers.Lambda(eval("lambda x: f(x)", scope), output_shape=(4,))
    layer = keras.layers.TimeDistributed(layer) if wrapped else layer
    inputs = keras.Input((4, 4) if wrapped else (4,))
    first = tmp_path / ("first.h5" if form in ("model.h5", "renamed.keras") else "first.keras")
    keras.Model(inputs, layer(inputs)).save(first)
    path = str(first.rename(tmp_path / form))
    os.remove(made)
    with pytest.raises(InputError, match="holds code"):
        rst.export.load(path)
    assert not os.path.exists(made)


def test_a_lambda_that_is_trusted(tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x)(inputs)).save(tmp_path / "model.h5")
    loaded = rst.export.load(str(tmp_path / "model.h5"), trust=True)
    np.testing.assert_array_equal(loaded(np.ones((1, 4), np.float32)), 2 * np.ones((1, 4)))


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_modules_that_the_user_names(registered, name, tmp_path, monkeypatch):
    own = "@keras.saving.register_keras_serializable()\n" if registered else ""
    (tmp_path / "my_layers.py").write_text(
        f"import tf_keras as keras\n\n{own}class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n        return 2 * x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_layers", raising=False)
    import my_layers

    path = str(tmp_path / name)
    keras.Sequential([keras.Input((4,)), my_layers.Twice()]).save(path)
    keras.saving.get_custom_objects().pop("Custom>Twice", None)  # as in another process
    with pytest.raises(InputError, match="names my_layers.Twice, a module|cannot be read"):
        rst.export.load_model(path)
    monkeypatch.delitem(sys.modules, "my_layers")
    loaded = rst.export.load_model(path, modules=["my_layers"])
    np.testing.assert_array_equal(loaded(np.ones((1, 4))), [[2] * 4])
    keras.saving.get_custom_objects().pop("Custom>Twice", None)
    with pytest.raises(InputError, match="modules=not_there: cannot be imported"):
        rst.export.load_model(path, modules=["my_layers", "not_there"])


def test_the_digest_is_that_of_the_content(model, folder, tmp_path):
    model.save(tmp_path / "again.keras")  # at another time, by another name
    digest = forms.digest(str(folder / "model.keras"))
    assert forms.digest(str(tmp_path / "again.keras")) == digest
    other = keras.models.clone_model(model)
    other.set_weights([1.001 * weight for weight in model.get_weights()])
    other.save(tmp_path / "other.keras")
    found = {forms.digest(str(folder / name)) for name in ("model.h5", "saved_model")}
    assert len({digest, forms.digest(str(tmp_path / "other.keras")), *found}) == 4


FLIPS = 60


@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_keras_file(cut, model, folder, tmp_path):
    """Bits are turned, or the end is missing: one line, or the same network as before."""
    content, rng = (folder / "model.keras").read_bytes(), np.random.default_rng(0)
    expected, path = model.get_weights(), tmp_path / "model.keras"
    same = 0
    for place in rng.integers(0, len(content), FLIPS):
        turned = bytearray(content)
        turned[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content[:place] if cut else turned)
        try:
            loaded = rst.export.load_model(str(path))
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            same += 1
            for own, weight in zip(loaded.get_weights(), expected, strict=True):
                np.testing.assert_array_equal(own, weight)
    assert same < FLIPS / 2


def zipped(*configs: str, compression: int = zipfile.ZIP_STORED):
    def write(path) -> None:
        with zipfile.ZipFile(path, "w", compression) as file:
            for config in configs:
                file.writestr("config.json", config)

    return write


SEQUENTIAL = '{"module": "tf_keras", "class_name": "Sequential", "config": {"layers": []}}'
NOT_READABLE = {
    "a list": zipped("[1]"),
    "a class without a module": zipped('{"class_name": "Sequential"}'),
    "a layer": zipped(
        SEQUENTIAL.replace("Sequential", "Dense").replace('"layers": []', '"units": 1')
    ),
    "two configurations": zipped(SEQUENTIAL, SEQUENTIAL),
    "little that becomes much": zipped(SEQUENTIAL + " " * 10**7, compression=zipfile.ZIP_DEFLATED),
    "a pipe": os.mkfifo,
    "weights alone": lambda path: h5py.File(path, "w").close(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("a model"),
    "a zip of something else": lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
    "a folder": lambda path: path.mkdir(),
    "an empty TFLite": lambda path: path.write_bytes(b"\0\0\0\0TFL3"),
    "a SavedModel of nothing": lambda path: (path.mkdir(), (path / "saved_model.pb").touch()),
    "not there": lambda path: None,
}


@pytest.mark.parametrize("make", NOT_READABLE.values(), ids=NOT_READABLE)
def test_files_that_hold_no_model(make, tmp_path):
    path = tmp_path / "model"
    make(path)
    with pytest.raises(InputError, match="model=.*model: "):
        rst.export.load(path)


@pytest.mark.parametrize("path", [None, 3, b"model.keras", ["model.keras"]])
def test_what_is_no_path(path):
    with pytest.raises(InputError, match="must be the path of a file"):
        rst.export.load(path)


@pytest.mark.filterwarnings("ignore:.*is a SavedModel")
@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "saved_model.pb"])
def test_a_saved_model_whose_files_are_cut(name, folder, tmp_path):
    path = shutil.copytree(folder / "saved_model", tmp_path / "saved_model")
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read, is damaged or incomplete"):
        rst.export.load(str(path))
