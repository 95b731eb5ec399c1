"""Data sets of one's own: arrays in a file, folders of images, further sets of TFDS."""

import os

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 4, 5, 3)).astype(np.uint8)
LABELS = np.arange(24) % 2

TFDS = [("tfds:mnist", {"image_size": 14}), ("mnist", {})]


def arrays(path, **given):
    kept = dict(x_train=IMAGES[:16], y_train=LABELS[:16], x_test=IMAGES[16:], y_test=LABELS[16:])
    kept |= given
    np.savez(path, **{name: own for name, own in kept.items() if own is not None})
    return f"npz:{path}"


def pictures(folder, images=IMAGES, labels=LABELS, part=lambda number: ""):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / part(number) / f"class_{label}"
        place.mkdir(parents=True, exist_ok=True)
        tf.io.write_file(str(place / f"{number:02}.png"), tf.io.encode_png(image))
    return f"folder:{folder}"


def test_arrays(tmp_path):
    name = arrays(tmp_path / "own.npz", y_train=LABELS[:16, None])
    train, valid, test = data.load(name, batch_size=4, validation_size=4)
    assert (train.size, valid.size, test.size, test.num_classes) == (12, 4, 8, 2)
    np.testing.assert_array_equal(test.images, IMAGES[16:])
    np.testing.assert_array_equal(data.load_test(name).labels, LABELS[16:])


@pytest.mark.parametrize(
    "dtype, scale", [(np.float32, 255.0), (np.int64, 255.0), (np.float64, 255.0)]
)
def test_arrays_of_other_ranges_are_scaled(tmp_path, dtype, scale):
    """Those without channels get one."""
    gray = IMAGES[..., 0].astype(dtype)
    name = arrays(tmp_path / "own.npz", x_train=gray[:16], x_test=gray[16:])
    test = data.load_test(name, scale=scale)
    assert test.images.shape == (8, 4, 5, 1) and test.images.dtype == np.float32
    np.testing.assert_allclose(test.images[..., 0], gray[16:] / 255, rtol=1e-6)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"x_train": None}, "holds no x_train; must hold x_train, y_train, x_test, y_test"),
        (
            {"x_train": IMAGES[:16].astype(np.float32)},
            "x_train of values 0 to 255: must be uint8, or from 0 to 1 when divided by scale=1; "
            "for values to 255 give scale=255",
        ),
        ({"x_test": IMAGES[0, 0]}, r"x_test of shape \(5, 3\): must be \[n, height, width"),
        ({"x_test": IMAGES[16:].astype(str)}, "x_test of <U3: must be numbers"),
        ({"x_test": IMAGES[16:] * np.nan}, "x_test of values nan to nan"),
        ({"y_test": np.eye(2)[LABELS[16:]]}, r"y_test, float64 \(8, 2\): must be whole numbers"),
        ({"y_test": LABELS[:3]}, "labels"),
    ],
)
def test_arrays_that_are_refused(tmp_path, given, told):
    with pytest.raises(InputError, match=told) as caught:
        data.load(arrays(tmp_path / "own.npz", **given), batch_size=4)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more"])
def test_files_that_are_no_arrays(tmp_path, content):
    path = tmp_path / "own.npz"
    with pytest.raises(InputError, match="no such file"):
        data.load_test(f"npz:{path}")
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as an .npz file"):
        data.load_test(f"npz:{path}")


def test_a_folder(tmp_path):
    """Without a test set each sixth image of a class is of it."""
    name = pictures(tmp_path)
    test = data.load_test(name)
    found = [5 * 2, 11 * 2, 5 * 2 + 1, 11 * 2 + 1]
    np.testing.assert_array_equal(test.images, IMAGES[found])
    np.testing.assert_array_equal(test.labels, [0, 0, 1, 1])
    train, valid, _ = data.load(name, batch_size=4, validation_size=4)
    assert train.size + valid.size == 20 and train.num_classes == 2


def test_a_folder_with_its_own_test_set(tmp_path):
    name = pictures(tmp_path, part=lambda number: "test" if number < 6 else "train")
    test = data.load_test(name, image_size=3)
    assert test.images.shape == (6, 3, 3, 3) and sorted(test.labels) == [0, 0, 0, 1, 1, 1]


def test_folders_that_are_refused(tmp_path):
    def refused(name, told, **given):
        with pytest.raises(InputError, match=told) as caught:
            data.load_test(name, **given)
        assert len(str(caught.value).splitlines()) == 1

    refused(f"folder:{tmp_path / 'none'}", "no such folder")
    name = pictures(tmp_path, labels=LABELS * 0)
    refused(name, "has 1 folders of classes; must have two or more")
    pictures(tmp_path, IMAGES[:12, :2], LABELS[:12] + 1)
    refused(name, r"has images of shapes \(2, 5, 3\) and \(4, 5, 3\); give image_size")
    assert data.load_test(name, image_size=4).images.shape[1:] == (4, 4, 3)
    (tmp_path / "class_0" / "11.png").write_bytes(b"no image")
    refused(name, "11.png is not an image that can be read", image_size=4)


@pytest.mark.parametrize(
    "name, told",
    [
        ("tfds:no_such_set", "dataset=tfds:no_such_set: TFDS has no such data set"),
        ("tfds:no such/set!", "TFDS has no such data set"),
        ("npz:", "dataset=npz:: must be one of digits, .*, npz:FILE, folder:FOLDER, tfds:NAME"),
        ("other:some", "must be one of"),
    ],
)
def test_names_that_are_refused(name, told):
    with pytest.raises(InputError, match=told):
        data.load_test(name)


@pytest.mark.skipif("RST_DATA_DIR" not in os.environ, reason="no MNIST")
def test_any_set_of_tfds():
    """Here one that has a name, too, made smaller."""
    small, usual = (data.load_test(name, **given) for name, given in TFDS)
    assert small.images.shape == (10_000, 14, 14, 1) and small.images.dtype == np.uint8
    np.testing.assert_array_equal(small.labels, usual.labels)
    assert abs(small.images.mean() - usual.images.mean()) < 1
