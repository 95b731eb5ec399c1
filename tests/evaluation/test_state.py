"""The progress of an evaluation, of which model it is, and whatever happens to its file."""

import warnings

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.evaluation import identity
from robust_sparse_tf.evaluation.state import State

JUDGED = np.ones((6, 1), bool)
VALUES = [
    np.arange(6) < 4,
    np.arange(6, dtype=np.float32),
    np.arange(6)[:, None] > 2,
    np.full(6, 0.5, np.float32),
    np.full(6, 3, np.float32),
]
IDENTITY = {"attacks": [["pgd", "PGD()"]], "seed": 0}


def stored(path) -> State:
    state = State(str(path), IDENTITY, "one")
    state.put("pgd@0.1", *VALUES)
    return state


def test_what_is_done_comes_back(tmp_path):
    stored(tmp_path / "state.npz")
    again = State(str(tmp_path / "state.npz"), IDENTITY, "one")
    for own, value in zip(again.get("pgd@0.1", JUDGED), VALUES, strict=True):
        np.testing.assert_array_equal(own, value)
        assert own.dtype == value.dtype


def test_another_model_is_begun_afresh(tmp_path):
    stored(tmp_path / "state.npz")
    with pytest.warns(RunWarning, match=r"state\.npz is of another model .*: .* starts again"):
        state = State(str(tmp_path / "state.npz"), IDENTITY, "two")
    assert not state.get("pgd@0.1", JUDGED)[0].any()


@pytest.mark.parametrize("content", [b"no state", b"", b"\x93NUMPY"])
def test_other_files_are_not_overwritten(content, tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.npz: holds no state of an evaluation; delete"):
        State(str(path), IDENTITY, "one")
    np.savez(path, x=np.ones(2))
    with pytest.raises(InputError, match="holds no state of an evaluation"):
        State(str(path), IDENTITY, "one")


def test_other_attacks_are_refused(tmp_path):
    stored(tmp_path / "state.npz")
    with pytest.raises(InputError, match="is of other data, attacks or seeds"):
        State(str(tmp_path / "state.npz"), {"seed": 1}, "one")


@pytest.mark.parametrize("kind", ["turned", "cut", "zeros", "longer", "swapped"])
def test_damage_of_every_kind(kind, tmp_path):
    """One line, or the same values as before; never others."""
    path, rng = tmp_path / "state.npz", np.random.default_rng(0)
    stored(path)
    content = path.read_bytes()
    for place in rng.integers(0, len(content), 400):
        damaged, other = bytearray(content), int(rng.integers(len(content)))
        if kind == "turned":
            damaged[place] ^= 1 << int(rng.integers(8))
        elif kind == "cut":
            del damaged[place:]
        elif kind == "zeros":
            damaged[place : place + 40] = bytes(min(40, len(content) - place))
        elif kind == "longer":
            damaged[place:place] = rng.bytes(7)
        else:
            damaged[place], damaged[other] = damaged[other], damaged[place]
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                found = State(str(path), IDENTITY, "one").get("pgd@0.1", JUDGED)
        except InputError as error:
            told = [error]
        else:
            told = [each.message for each in told if each.category is RunWarning]
            whole = all(map(np.array_equal, found, VALUES))
            assert whole or not found[0].any()
        assert all(str(path) in str(each) and "\n" not in str(each) for each in told)


def model(width: int = 4, activation: str = "relu", seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(width, activation), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((3,)), *layers])


CHANGES = [{}, {"width": 5}, {"activation": "tanh"}, {"seed": 1}]


def test_a_network_is_known_by_layers_and_weights():
    """Built twice it is the same, though Keras gives it other names."""
    names = [identity.of_network(model(**change)) for change in CHANGES]
    assert len(set(names)) == len(CHANGES)
    assert names == [identity.of_network(model(**change)) for change in CHANGES]
    assert identity.of_network(lambda x: x) == ""
