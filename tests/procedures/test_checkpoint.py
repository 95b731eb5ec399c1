import os
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from robust_sparse_tf import files
from robust_sparse_tf.errors import RunWarning
from robust_sparse_tf.procedures import CheckpointStore

POSITIONS = [2, 10, 300]


def arrays(position: int) -> dict[str, np.ndarray]:
    weights = np.random.default_rng(position).normal(size=(3, 2)).astype(np.float32)
    return {"model/000": weights, "model/001": np.array(position), "empty": np.zeros((0, 4))}


def assert_is(found, position: int) -> None:
    values, meta = found
    assert meta == dict(position=position, nested=[1, {"a": 0.1}], text="é")
    assert values.keys() == arrays(position).keys()
    for name, value in arrays(position).items():
        assert values[name].dtype == value.dtype
        np.testing.assert_array_equal(values[name], value)


def fill(folder) -> CheckpointStore:
    store = CheckpointStore(str(folder))
    for position in POSITIONS:
        meta = dict(position=position, nested=[1, {"a": 0.1}], text="é")
        store.save(position, arrays(position), meta)
    return store


def newest(folder) -> str:
    return max(entry.path for entry in os.scandir(folder))


@pytest.fixture
def store(tmp_path):
    return fill(tmp_path / "new" / "folder")


def test_newest_checkpoint_comes_back(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is(store.load(), 300)


def test_two_checkpoints_are_kept(store):
    assert sorted(os.listdir(store.folder)) == ["0000000010.npz", "0000000300.npz"]
    os.remove(newest(store.folder))
    assert_is(store.load(), 10)


def test_a_position_can_be_saved_again(store):
    store.save(300, {"other": np.ones(2)}, {})
    values, meta = store.load()
    assert list(values) == ["other"] and meta == {}


def test_empty_folder(tmp_path):
    assert CheckpointStore(str(tmp_path / "empty")).load() is None


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file_is_named_and_passed_over(kept, store):
    path = newest(store.folder)
    with open(path, "rb+") as file:
        file.truncate(int(kept * os.path.getsize(path)))
    with pytest.warns(RunWarning, match=f"checkpoint {path} is damaged"):
        assert_is(store.load(), 10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("shared"))


@hypothesis.settings(max_examples=150)
@hypothesis.given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_harmless_or_noticed(where, bit, shared):
    """What comes back is whole: the newest checkpoint, or with a warning the one before."""
    path = newest(shared.folder)
    with open(path, "rb") as file:
        whole = file.read()
    damaged = bytearray(whole)
    damaged[int(where * len(whole))] ^= 1 << bit
    try:
        with open(path, "wb") as file:
            file.write(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = shared.load()
    finally:
        with open(path, "wb") as file:
            file.write(whole)
    warned = [entry for entry in caught if entry.category is RunWarning]
    assert len(warned) <= 1
    assert_is(found, 10 if warned else 300)


@pytest.mark.parametrize("offset", [8, 10, -12], ids=["flags", "method", "directory"])
def test_damage_to_the_headers_of_the_archive(offset, store):
    """The places where a flip makes Python's zip reader raise errors of other kinds."""
    path = newest(store.folder)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    first = content.index(b"PK\x01\x02")  # the central directory's first entry
    place = first + offset if offset > 0 else len(content) + offset
    for bit in range(8):
        content[place] ^= 1 << bit
        with open(path, "wb") as file:
            file.write(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert_is(store.load(), 10 if caught else 300)
            caught.clear()
        content[place] ^= 1 << bit


def test_everything_damaged(store):
    for entry in os.scandir(store.folder):
        with open(entry.path, "wb") as file:
            file.write(b"no archive")
    with pytest.warns(RunWarning) as caught:
        assert store.load() is None
    assert len(caught) == 2


def test_partial_and_foreign_files_are_passed_over(store):
    for name in ("0000000400.npz.partial", "notes.txt", "best.npz", "0000000500"):
        with open(os.path.join(store.folder, name), "wb") as file:
            file.write(b"half of a checkpoint")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is(store.load(), 300)


@pytest.mark.parametrize("write", ["npz", "store"])
def test_a_write_that_breaks_off_leaves_the_earlier_file(write, store, monkeypatch):
    """A crash comes at any moment; here while the file is still being written."""
    path = newest(store.folder)
    with open(path, "rb") as file:
        before = file.read()

    def break_off(file, **_):
        file.write(b"half of a")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", break_off)
    with pytest.raises(KeyboardInterrupt):
        if write == "npz":
            files.write_npz(path, {})
        else:
            store.save(300, {}, {})
    with open(path, "rb") as file:
        assert file.read() == before
    assert_is(store.load(), 300)
