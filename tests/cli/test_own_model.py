"""Runs of a user's own network and data."""

import json
import sys
from pathlib import Path

import in_process
import numpy as np
import pytest
import tf_keras as keras
from bad_input import assert_one_error

from experiments import evaluate, run
from experiments.runs import contents, networks
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from robust_sparse_tf.errors import InputError

MODULE = """
import keras as keras_3
import tf_keras as keras
L = keras.layers

def small(shape, classes, last=None):
    return keras.Sequential([L.Input(shape), L.Flatten(), L.Dense(classes, activation=last)])

def softmax(shape, classes):
    return small(shape, classes, "softmax")

def wide(shape, classes):
    return small(shape, classes + 1)

def two(shape, classes):
    x = L.Input(shape)
    y = L.Dense(classes)(L.Flatten()(x))
    return keras.Model(x, [y, y])

def newer(shape, classes):
    return keras_3.Sequential([keras_3.layers.Flatten(), keras_3.layers.Dense(classes)])

def subclass(shape, classes):
    return keras.models.Model()

def broken(shape, classes):
    raise ValueError("no such size\\nin two lines")

def of_one(shape):
    return None
"""
SHORT = ["--rounds=1", "--iterations=4", "--evaluate_every=4", "--batch_size=4", "--branches=1"]
SHORT += ["--attack=fgsm", "--eval_attacks=fgsm", "--validation_size=4"]


@pytest.fixture(autouse=True)
def forgotten():
    contents.of_data.cache_clear()
    contents.of_model.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a module of networks and arrays."""
    (tmp_path / "own_networks.py").write_text(MODULE)
    images = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1)).astype(np.uint8)
    labels = np.arange(24) % 3
    parts = dict(x_train=images[:16], y_train=labels[:16], x_test=images[16:], y_test=labels[16:])
    np.savez(tmp_path / "own.npz", **parts)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("own_networks", None)


def test_run_and_evaluate(folder):
    argv = ["run", "--model=own_networks:small", "--dataset=npz:own.npz", *SHORT]
    code, _, err = in_process.call(argv[1:], {}, None, light=False)
    assert code == 0, err
    (path,) = (folder / "runs").iterdir()
    assert path.name.startswith("npz-fgsm-original-")
    results = json.loads((path / "results.json").read_text())
    assert results["flags"]["model"] == "own_networks:small"
    asked = ["--attacks=fgsm", "--epsilons=0.1", "--check_masking=false"]
    assert evaluate.main(["evaluate", f"--model={path}", *asked]) == 0
    (report,) = path.glob("robustness/*/report.json")
    assert len(json.loads(report.read_text())["examples"][0]["stands"]) == 8


def test_a_saved_network_is_gone_on_from(folder):
    model = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3))
    model.save("trained.keras")
    build = networks.builder(flags.RunOptions(model="trained.keras"))
    for own, loaded in zip(model.weights, build((4, 4, 1), 3).weights, strict=True):
        np.testing.assert_array_equal(own.numpy(), loaded.numpy())


@pytest.mark.parametrize(
    "model, told",
    [
        ("nowhere:small", "there is no module nowhere"),
        ("nowhere.inner:small", "there is no module nowhere.inner"),
        ("own_networks:none", "own_networks has no function none"),
        ("own_networks:of_one", "must take the shape of an image and the number of classes"),
        ("own_networks:broken", "fails for images of (4, 4, 1) and 3 classes (ValueError: no such"),
        ("own_networks:newer", "must be a tf_keras model (import tf_keras"),
        ("own_networks:wide", "outputs are (4,); must be (3,)"),
        ("own_networks:two", "has 2 outputs; must have one"),
        ("own_networks:subclass", "must be Sequential or functional, not subclassed"),
        ("own_networks:softmax", "logits"),
        ("missing.keras", "missing.keras"),
        ("own_networks", "must be one of"),
    ],
)
def test_what_is_refused(folder, model, told):
    argv = [f"--model={model}", "--dataset=npz:own.npz", *SHORT]
    assert_one_error(in_process.call(argv, {}, None, light=True), told)


@pytest.mark.parametrize(
    "flag, told",
    [
        ("--image_size=8", "image_size=8: has no effect without dataset=folder:FOLDER or tfds:"),
        ("--scale=2", "scale=2.0: has no effect without dataset=npz:FILE"),
        ("--width=2", "width=2.0: must be 1 with model=own_networks:small"),
        ("--normalize=dataset", "normalize=dataset: must be none with model=own_networks:small"),
    ],
)
def test_flags_that_do_not_fit(folder, capfd, flag, told):
    data = [] if "width" in flag or "normalize" in flag else ["--dataset=digits"]
    argv = ["run", "--model=own_networks:small", "--dataset=npz:own.npz", *SHORT, *data, flag]
    assert_one_error((run.main(argv), *capfd.readouterr()), told)


def test_a_name_tells_networks_and_data_apart(folder):
    """By the module's text and the arrays, not by their names alone."""
    values = flags.parse(["run", "--model=own_networks:small", "--dataset=npz:own.npz"])
    first = run_name(values)
    assert first == run_name(values)
    Path("own_networks.py").write_text(MODULE + "\n# and more")
    contents.of_model.cache_clear()  # as in another process
    second = run_name(values)
    np.savez("own.npz", x_train=np.zeros(3))
    contents.of_data.cache_clear()
    assert len({first, second, run_name(values)}) == 3


def test_a_module_that_cannot_be_imported(folder):
    Path("own_networks.py").write_text("raise RuntimeError('no')")
    with pytest.raises(InputError, match="own_networks cannot be imported .RuntimeError: no"):
        networks.builder(flags.RunOptions(model="own_networks:small"))
