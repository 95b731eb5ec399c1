"""Adversarial models are stored whole, and continue from their files bit-identically."""

import copy

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.attacks import FGSM, PGD, RandomIntensity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import RigL
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.objectives import Mixed

layers = keras.layers

RANDOM = RandomIntensity(epsilon=0.3, attack=PGD(epsilon=0.2, steps=2))


def model(attack, sparse: bool = True) -> AdversarialModel:
    keras.utils.set_random_seed(0)
    first = layers.Dense(6, "relu", trainable=False)
    network = keras.Sequential([layers.Input((8,)), first, layers.Dense(3)])
    if sparse:
        network = sparsify(network, RigL(0.4, update_interval=1))
    return AdversarialModel(network, attack, Mixed(clean_weight=0.3), seed=5)


def fit(model, **arguments) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 8), np.float32), rng.integers(0, 3, 24)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0, **arguments)


@pytest.mark.parametrize(
    "attack, sparse, form, compiled",
    [
        (RANDOM, True, ".keras", True),
        (FGSM(epsilon=0.1), True, "", True),
        (None, False, ".keras", False),
        pytest.param(None, False, "", False, marks=pytest.mark.slow),
        pytest.param(PGD(epsilon=0.1, steps=2), True, "", False, marks=pytest.mark.slow),
    ],
)
def test_training_goes_on_from_a_file(attack, sparse, form, compiled, tmp_path):
    """SavedModels keep no optimizer's state, of any model; plain SGD has none."""
    optimizer = keras.optimizers.Adam if form else keras.optimizers.SGD
    path, before = str(tmp_path / f"model{form}"), model(attack, sparse)
    if compiled:
        before.compile(optimizer(), metrics=["accuracy"], jit_update=False)
        fit(before, callbacks=[keras.callbacks.ModelCheckpoint(path)])
    else:
        before.save(path)
    loaded = keras.models.load_model(path)
    assert type(loaded) is AdversarialModel
    assert (loaded.attack, loaded.objective, loaded.seed) == (attack, before.objective, 5)
    assert len(loaded.trainable_variables) == len(before.trainable_variables)
    for each in (before, loaded):
        if not compiled:
            each.compile(optimizer())
        fit(each)
    assert loaded.step == before.step
    np.testing.assert_equal(loaded.get_weights(), before.get_weights())


def test_copies_are_whole():
    before = model(FGSM(epsilon=0.1))
    again = copy.deepcopy(before)
    assert again.attack == before.attack
    np.testing.assert_equal(again.get_weights(), before.get_weights())


def test_hdf5_is_refused_before_training(tmp_path):
    refused = model(None)
    with pytest.raises(
        InputError, match=r"^filepath=\S*a.h5: HDF5 does not support .* save its network"
    ):
        refused.save(tmp_path / "a.h5")
    for form, words in (
        ("h5", "HDF5 does not support"),
        ("hdf5", "HDF5 does not support"),
        ("zip", "save_format"),
    ):
        with pytest.raises(InputError, match=words):
            refused.save(tmp_path / "a", True, form)
    refused.compile()
    with pytest.raises(InputError, match="^filepath=b.h5: "):
        fit(refused, callbacks=[keras.callbacks.ModelCheckpoint("b.h5")])
    assert refused.step == 0 and not list(tmp_path.iterdir())


def test_functions_are_refused(tmp_path):
    attack = RandomIntensity(attack=FGSM(epsilon=0.1), distribution=lambda seed: 0.1)
    with pytest.raises(InputError, match="^distribution=.*: is a function, .* save only"):
        model(attack).save(tmp_path / "model.keras")
    config = model(None).get_config()
    config["attack"] = {"class_name": "Mine"}
    with pytest.raises(InputError, match="^attack Mine: unknown; import its module"):
        AdversarialModel.from_config(config)
