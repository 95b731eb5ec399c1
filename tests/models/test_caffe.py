"""Weights from Caffe's files, against Caffe's way of computing."""

import numpy as np
import pytest
import tf_keras as keras
from caffe_files import write

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import lenet_300_100, load_caffe

RANDOM = np.random.default_rng(0)
KERNEL, BIAS = RANDOM.normal(size=(2, 3, 3, 3)), RANDOM.normal(size=2)
HIDDEN = RANDOM.normal(size=(4, 2 * 2 * 2)), RANDOM.normal(size=4)
LAST = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=5)


def network() -> keras.Sequential:
    layers = keras.layers
    return keras.Sequential(
        [
            *(layers.Input((6, 6, 3)), layers.Conv2D(2, 3), layers.MaxPooling2D(2)),
            *(layers.Flatten(), layers.Dense(4, activation="relu"), layers.Dense(5)),
        ],
        "mine",
    )


def by_hand(image: np.ndarray) -> np.ndarray:
    """Of an image [channels, height, width], as Caffe has it."""
    maps = np.array(
        [
            [[np.sum(kernel * image[:, i : i + 3, j : j + 3]) for j in range(4)] for i in range(4)]
            for kernel in KERNEL
        ]
    )
    pooled = (maps + BIAS[:, None, None]).reshape(2, 2, 2, 2, 2).max((2, 4))
    hidden = np.maximum(HIDDEN[0] @ pooled.reshape(-1) + HIDDEN[1], 0)
    return LAST[0] @ hidden + LAST[1]


def test_computes_what_caffe_computes(tmp_path):
    """Channels first, also where a dense layer flattens them."""
    write(tmp_path / "net", [(KERNEL, BIAS), (), HIDDEN, LAST])
    found = load_caffe(tmp_path / "net", network())
    images = RANDOM.normal(size=(3, 3, 6, 6))
    expected = np.array([by_hand(image) for image in images])
    np.testing.assert_allclose(found(images.transpose(0, 2, 3, 1)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "content, words",
    [
        (lambda whole: whole[:-7], "cannot be read as a .caffemodel file"),
        (lambda whole: b"PK\x03\x04" + bytes(30), "cannot be read as a .caffemodel file"),
        (lambda whole: b"", "holds no weights"),
        (lambda whole: None, "cannot be read as a .caffemodel file .*No such file"),
    ],
    ids=["cut", "another format", "empty", "missing"],
)
def test_damage_is_one_line(content, words, tmp_path):
    path = tmp_path / "net.caffemodel"
    write(path, [(KERNEL, BIAS), HIDDEN, LAST])
    damaged = content(path.read_bytes())
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    with pytest.raises(InputError, match=words) as caught:
        load_caffe(path, network())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_of_other_networks_are_refused(tmp_path):
    path, mine = tmp_path / "net", network()
    before = mine.get_weights()
    for layers in ([(KERNEL, BIAS), LAST], [(KERNEL,), HIDDEN, LAST], [HIDDEN, LAST]):
        write(path, layers)
        with pytest.raises(InputError, match=r"holds weights of shapes .*, network mine takes"):
            load_caffe(path, mine)
    with pytest.raises(InputError, match="network lenet_300_100 takes"):
        load_caffe(path, lenet_300_100())
    for ours, kept in zip(mine.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)


def test_other_arguments_are_refused(tmp_path):
    write(tmp_path / "net", [(KERNEL, BIAS)])
    normalised = keras.Sequential([keras.layers.Input((6,)), keras.layers.BatchNormalization()])
    for path, given, words in (
        (3, network(), "path=3: must be"),
        (tmp_path / "net", "mine", "network='?mine'?: must be"),
        (tmp_path / "net", normalised, "holds weights of shapes"),
        (tmp_path, network(), "cannot be read as a .caffemodel file"),
    ):
        with pytest.raises(InputError, match=words):
            load_caffe(path, given)


def test_sizes_must_fit_their_numbers(tmp_path):
    write(tmp_path / "net", [(KERNEL, BIAS)], shape=[2, 3])
    with pytest.raises(InputError, match="cannot be read as a .caffemodel file .*reshape"):
        load_caffe(tmp_path / "net", network())
