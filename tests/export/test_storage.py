"""Sizes of files and folders, and the entropy of weights."""

import gzip

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import entropy_bound, sizes


def test_a_file(tmp_path):
    content = bytes(5000) + np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "file").write_bytes(content)
    found = sizes(str(tmp_path / "file"))
    assert found.bytes == len(content)
    assert abs(found.gzip_bytes - len(gzip.compress(content, 9))) < 10


def test_a_folder_counts_all_files_and_no_names(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "first").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "b" / "second").write_bytes(b"y" * 500)
    found = sizes(str(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "c")
    assert found == sizes(str(tmp_path / "c")) and found.bytes == 1500
    assert found.gzip_bytes < 100
    for path in (tmp_path / "none", ""):
        with pytest.raises(InputError, match="path="):
            sizes(str(path))


def of(*values, dtype=np.float32) -> int:
    """The bound of a model with one weight."""
    layer = keras.layers.Layer(dtype=dtype)
    layer.w = layer.add_weight("w", [len(values)], dtype, trainable=False)
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    model.set_weights([np.array(values, dtype)])
    return entropy_bound(model)


def test_the_bound_is_that_of_mask_and_values():
    values = [1.5] * 200 + [0] * 600
    mask = 800 * (0.25 * 2 + 0.75 * np.log2(4 / 3))
    assert of(*values) == np.ceil((mask + 32 * 200) / 8)
    assert of(*values, dtype=np.float16) == np.ceil((mask + 16 * 200) / 8)
    assert (of(*[1] * 80), of(*[0] * 80)) == (320, 0)


def test_codes_count_by_their_frequencies():
    codes = [-2, -1, 0, 1] * 8
    assert of(*codes, dtype=np.int8) == 32 * 2 / 8
    assert of(*[0] * 32, dtype=np.int8) == 0


def test_a_sparse_model_has_a_lower_bound(make_lenet):
    dense = models.lenet_300_100((8, 8, 1))
    total = 4 * sum(weight.size for weight in dense.get_weights())
    assert entropy_bound(dense) == pytest.approx(total, rel=1e-3)
    assert entropy_bound(make_lenet(0.1)) < 0.13 * total
    with pytest.raises(InputError, match="must be built"):
        entropy_bound(keras.Sequential([keras.layers.Dense(3)]))
