"""What is stored of a sparse model, and loaded again."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import (
    both,
    compiled,
    examples,
    fit,
    functional,
    masks_of,
    sequential,
    slow,
    weights_of,
)

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import (
    SET,
    GradualMagnitude,
    Magnitude,
    RigL,
    SparseModel,
    sparsify,
)
from robust_sparse_tf.sparsity.methods.flying_bird_plus import FlyingBirdPlus


def state_of(model) -> list[np.ndarray]:
    """The weights and masks, and what a sparse model keeps beside them, in a fixed order."""
    own = [model.step, model.changed, model.feedback, *model.ever_active, *model.memory]
    return [*model.get_weights(), *[variable.numpy() for variable in own]]


def stored_and_loaded(model, make, method, optimizer, form, folder):
    path = str(folder / ("model" if form in ("tf", "checkpoint") else f"model.{form}"))
    if form == "checkpoint":
        tf.train.Checkpoint(model).write(path)
        other = compiled(sparsify(make(), method), optimizer())
        other.set_weights([np.zeros_like(value) for value in other.get_weights()])
        tf.train.Checkpoint(other).read(path).assert_consumed()
        return other
    model.save(path, **(dict(save_format="tf") if form == "tf" else {}))
    return keras.models.load_model(path)


@pytest.mark.parametrize(
    "form, make",
    [
        ("keras", functional),
        ("tf", sequential),
        ("h5", functional),
        ("checkpoint", sequential),
        slow("keras", sequential),
        slow("tf", functional),
        slow("h5", sequential),
        slow("checkpoint", functional),
    ],
)
def test_a_run_goes_on_from_a_file(form, make, tmp_path):
    """In its middle, between two batches whose gradients are added up, bit-identically.

    tf_keras' SavedModels keep no optimizer's state, of any model; plain SGD has none.
    """
    optimizer = keras.optimizers.SGD if form == "tf" else keras.optimizers.Adam
    method = FlyingBirdPlus(
        0.3, layer_densities={"*_kernel": 0.4}, update_interval=3, gradient_batches=3
    )
    model = compiled(sparsify(make(), method), optimizer())
    model.feedback.assign([1.0, 0.0])
    first = masks_of(model)
    fit(model, slice(0, 5))
    assert any(map(np.any, map(np.not_equal, masks_of(model), first)))
    assert any(np.any(memory) for memory in model.memory) and np.any(model.changed)

    loaded = stored_and_loaded(model, make, method, optimizer, form, tmp_path)
    assert type(loaded) is SparseModel and loaded.method == method
    assert loaded.name == model.name or form == "checkpoint"
    np.testing.assert_equal(state_of(loaded), state_of(model))
    x, _ = examples(8)
    np.testing.assert_array_equal(loaded(x), model(x))
    loaded.run_eagerly = True  # which not all formats keep, and which rounds in its own way
    fit(model, slice(5, 8))
    fit(loaded, slice(5, 8))
    assert loaded.step == 8
    np.testing.assert_equal(state_of(loaded), state_of(model))
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        if form != "tf":
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
@pytest.mark.parametrize(
    "method",
    [
        Magnitude(0.2),
        RigL(0.2, update_interval=1),
        GradualMagnitude(0.2, stop_step=4, update_interval=1),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_large_network_goes_on_from_its_files(method, tmp_path):
    """Of many layers, depthwise ones among them, which stay dense."""
    network = keras.applications.MobileNetV2(
        (32, 32, 3), 0.35, weights=None, classes=10, classifier_activation=None
    )
    model = compiled(sparsify(network, method), keras.optimizers.SGD(0.01), metrics=None)
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 32, 32, 3), np.float32), rng.integers(0, 10, 16)

    def train(trained):
        trained.run_eagerly = True  # to trace so many layers takes a minute
        trained.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return trained.get_weights()

    train(model)
    names = ["model.keras", "model.h5", "model"]
    for name in names:
        model.save(tmp_path / name)
    before, after = model.get_weights(), train(model)
    for name in names:
        loaded = keras.models.load_model(tmp_path / name)
        np.testing.assert_equal(loaded.get_weights(), before)
        np.testing.assert_equal(train(loaded), after)
        np.testing.assert_equal(masks_of(loaded), masks_of(model))


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_files_keep_what_a_model_was_compiled_with(form, tmp_path):
    """So that nothing but the file is needed to continue."""
    model = compiled(
        sparsify(sequential(), SET(0.3)),
        keras.optimizers.AdamW(3e-3, weight_decay=0.1),
        weighted_metrics=["mae"],
    )
    x, y = examples(8)
    model.train_on_batch(x, y)
    model.save(tmp_path / f"model.{form}")
    loaded = keras.models.load_model(tmp_path / f"model.{form}")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    np.testing.assert_equal(
        loaded.evaluate(x, y, verbose=0, return_dict=True),
        model.evaluate(x, y, verbose=0, return_dict=True),
    )


@both
def test_weights_alone_can_be_stored(make, tmp_path):
    model, other = sparsify(make(), Magnitude(0.3)), sparsify(make())
    model.save_weights(tmp_path / "some.weights.h5")
    other.load_weights(tmp_path / "some.weights.h5")
    np.testing.assert_equal(masks_of(other), masks_of(model))
    np.testing.assert_equal(weights_of(other), weights_of(model))


def test_uncompiled_models_and_unknown_methods(tmp_path):
    model = sparsify(sequential(), RigL(0.3, seed=4))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.method == RigL(0.3, seed=4)
    config = model.get_config()
    config["method"]["class_name"] = "Mine"
    with pytest.raises(InputError, match="^method Mine: unknown; import its module"):
        SparseModel.from_config(config)


def test_files_load_where_the_library_is_just_imported(tmp_path):
    dense = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model = compiled(sparsify(dense, Magnitude(density=0.5)), keras.optimizers.SGD(), metrics=None)
    names = ["model.keras", "model.h5", "model"]
    for name in names[:2]:
        model.save(tmp_path / name)
    with pytest.warns(RunWarning, match="does not keep the optimizer's state; save it as .keras"):
        model.save(tmp_path / names[2])
    code = (
        "import robust_sparse_tf, tf_keras\n"
        f"for name in {names}: print(type(tf_keras.models.load_model(name)).__module__)"
    )
    paths = [os.path.dirname(os.path.dirname(os.path.dirname(__file__)))]
    env = {name: value for name, value in os.environ.items() if name != "RST_LIGHT_IMPORT"}
    env["PYTHONPATH"] = os.pathsep.join(paths)
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [SparseModel.__module__] * len(names)
