import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError


def numbered(size: int, **arguments) -> data.Split:
    """A split whose labels are the numbers of its images."""
    images = np.random.default_rng(0).random((size, 2, 2, 1), np.float32)
    return data.Split(images, np.arange(size), num_classes=size, **arguments)


def numbers(split: data.Split, steps: int, first_step: int = 0) -> np.ndarray:
    """Image numbers of some steps, [steps, batch_size]."""
    return next(iter(split.index_batches(first_step).batch(steps))).numpy()


def labels_of_pass(split: tf.data.Dataset) -> list[int]:
    return np.concatenate([y for _, y in split.as_numpy_iterator()]).tolist()


@pytest.mark.parametrize("split, size", [(0, 1198), (1, 239), (2, 360)])
def test_digits_as_tf_data(digits, split, size):
    split = digits[split]
    batches = list(split)
    images, labels = (np.concatenate(column) for column in zip(*batches, strict=True))
    assert isinstance(split, tf.data.Dataset)
    assert len(images) == len(labels) == split.size == size
    assert images.dtype == np.float32 and images.shape[1:] == (8, 8, 1)
    assert labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 1
    assert set(labels) == set(range(10)) and split.num_classes == 10
    assert [len(x) for x, _ in batches] == [32] * (size // 32) + [size % 32]
    for value, spec in zip(batches[0], split.element_spec, strict=True):
        assert spec.is_compatible_with(value)


def test_labels_belong_to_their_images(digits):
    images, labels = load_digits(return_X_y=True)
    label_of = {row.tobytes(): label for row, label in zip(images, labels, strict=True)}
    for split in digits:
        for x, y in split.as_numpy_iterator():
            rows = (16.0 * x).reshape(-1, 64).astype(images.dtype)
            assert [label_of[row.tobytes()] for row in rows] == y.tolist()


def test_bytes_are_scaled():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    split = data.Split(pixels, np.zeros(4, np.int32), num_classes=1, batch_size=4)
    (images, labels) = next(iter(split))
    np.testing.assert_array_equal(images, pixels.astype(np.float32) / np.float32(255))
    assert images.dtype == tf.float32 and labels.dtype == tf.int64


def test_shuffled_passes():
    """Each pass is complete and in an order of its own; the seed decides on all of them."""

    def passes(seed):
        split = numbered(50, batch_size=8, shuffle=True, seed=seed)
        return [labels_of_pass(split) for _ in range(3)]

    first = passes(1)
    for order in first:
        assert sorted(order) == list(range(50)) != order
    assert first[0] != first[1] != first[2]
    assert passes(1) == first
    assert passes(2) != first


def test_unshuffled_passes_are_in_order():
    split = numbered(50, batch_size=8)
    assert labels_of_pass(split) == labels_of_pass(split) == list(range(50))


@pytest.mark.parametrize("size, batch_size", [(48, 8), (50, 8), (7, 7), (7, 1), (5, 8), (1, 3)])
def test_index_batches_hold_each_image_once_an_epoch(size, batch_size):
    stream = numbers(numbered(size, batch_size=batch_size), steps=4 * size).ravel()
    assert stream.dtype == np.int64
    epochs = stream[: len(stream) // size * size].reshape(-1, size)
    np.testing.assert_array_equal(
        np.sort(epochs, axis=1), np.tile(np.arange(size), (len(epochs), 1))
    )


def test_index_batches_differ_from_epoch_to_epoch_and_seed_to_seed():
    orders = [
        order
        for seed in (0, 1, 2)
        for order in numbers(numbered(40, batch_size=40, seed=seed), steps=3)
    ]
    assert len({order.tobytes() for order in orders}) == 9


def test_index_batches_are_well_mixed():
    """Over many epochs each image comes to each place, and next to each other, equally often."""
    size, epochs = 16, 2000
    orders = numbers(numbered(size, batch_size=size), steps=epochs)
    assert len({order.tobytes() for order in orders}) == epochs

    expected = epochs / size
    places = np.stack([np.bincount(column, minlength=size) for column in orders.T])
    assert np.abs(places - expected).max() < 6 * expected**0.5

    steps = np.bincount(np.diff(orders).ravel() % size, minlength=size)[1:]
    assert np.abs(steps - epochs).max() < 6 * epochs**0.5

    kept = (orders[1:] == orders[:-1]).sum(axis=1).mean()  # 1 by chance
    assert abs(kept - 1) < 6 / epochs**0.5


@pytest.mark.parametrize("first_step", [1, 6, 7, 123])
def test_index_batches_go_on_from_any_step(first_step):
    split = numbered(50, batch_size=8, seed=3)
    whole = numbers(split, steps=first_step + 10)
    np.testing.assert_array_equal(numbers(split, 10, first_step), whole[first_step:])
    # Known before anything runs, so that the graph can cut a batch into parts.
    assert split.index_batches(first_step).element_spec == tf.TensorSpec([8], tf.int64)


@pytest.mark.parametrize("pipeline", [lambda split: split, lambda split: split.index_batches()])
def test_pipelines_are_not_tuned(pipeline):
    # The tuner's thread holds up the end of an iterator for seconds where there is one core.
    assert pipeline(numbered(50, batch_size=8, seed=3)).options().autotune.enabled is False


def test_gather_works_in_a_graph(digits):
    wanted = tf.constant([5, 0, 5], tf.int64)
    images, labels = tf.function(digits[0].gather)(wanted)
    np.testing.assert_array_equal(images, digits[0].images[[5, 0, 5]])
    np.testing.assert_array_equal(labels, digits[0].labels[[5, 0, 5]])


def test_validation_is_cut_from_train():
    """Train and validation together are the data, each image in one of them; the seed decides."""
    images, _ = load_digits(return_X_y=True)
    train, valid, test = data.load("digits", validation_size=100, seed=4)
    assert (train.size, valid.size) == (1337, 100)
    joined = np.concatenate([train.images, valid.images]).reshape(-1, 64) * 16
    assert sorted(map(tuple, joined)) == sorted(map(tuple, images[:-360]))
    np.testing.assert_array_equal(test.images.reshape(-1, 64) * 16, images[-360:])

    again = data.load("digits", validation_size=100, seed=4)
    other = data.load("digits", validation_size=100, seed=5)
    np.testing.assert_array_equal(valid.images, again[1].images)
    np.testing.assert_array_equal(train.labels, again[0].labels)
    assert (valid.images != other[1].images).any()
    assert (numbers(train, 1) != numbers(other[0], 1)).any()


def test_the_first_images_are_for_validation_in_all_trials():
    images, _ = load_digits(return_X_y=True)
    for seed in (0, 1):
        given = dict(validation_size=100, validation_split="first", seed=seed)
        train, valid, _ = data.load("digits", **given)
        np.testing.assert_array_equal(valid.images.reshape(-1, 64) * 16, images[:100])
        np.testing.assert_array_equal(train.images.reshape(-1, 64) * 16, images[100:-360])


@pytest.mark.parametrize("count, size", [(3, 3), (20, 20), (1000, 50)])
def test_first(count, size):
    few = numbered(50, batch_size=8, shuffle=True).first(count)
    assert few.size == size and few.num_classes == 50
    assert labels_of_pass(few) == list(range(size))


@pytest.mark.parametrize("classes", [(1, 7), ("7", "1"), (3, 0, 9)])
def test_only_some_classes(classes):
    """All their images and no others, in order; a label is a place among the classes."""
    numbers, labels = load_digits(return_X_y=True)
    train, valid, test = data.load("digits", classes=classes, batch_size=10)
    assert {split.num_classes for split in (train, valid, test)} == {len(classes)}
    wanted = [np.flatnonzero(labels[-360:] == int(name)) for name in classes]
    for place, expected in enumerate(wanted):
        images = test.images[test.labels == place].reshape(-1, 64) * 16
        np.testing.assert_array_equal(images, numbers[-360:][expected])
    assert test.size == sum(map(len, wanted))
    named = np.array([int(name) for name in classes])
    found = np.bincount(named[np.concatenate([train.labels, valid.labels])], minlength=10)
    all_ = np.bincount(labels[:-360], minlength=10)
    np.testing.assert_array_equal(found, np.where(np.isin(np.arange(10), named), all_, 0))


@pytest.mark.parametrize("size", [1, 100, 360, 1000])
def test_first_test_images(size):
    few, whole = data.load("digits", test_size=size), data.load("digits")
    assert [split.size for split in few] == [split.size for split in whole[:2]] + [min(size, 360)]
    np.testing.assert_array_equal(few[2].images, whole[2].images[:size])
    np.testing.assert_array_equal(few[2].labels, whole[2].labels[:size])


@pytest.mark.parametrize("classes", [(), (1, 7)])
def test_test_split_alone(classes):
    alone, whole = (
        data.load_test("digits", classes=classes),
        data.load("digits", classes=classes)[2],
    )
    np.testing.assert_array_equal(alone.images, whole.images)
    np.testing.assert_array_equal(alone.labels, whole.labels)
    assert alone.num_classes == whole.num_classes


def test_first_training_images(digits):
    """The validation images are the same; an epoch is as much shorter."""
    train, valid, _ = data.load("digits", batch_size=32, train_size=100)
    np.testing.assert_array_equal(train.images, digits[0].images[:100])
    np.testing.assert_array_equal(train.labels, digits[0].labels[:100])
    np.testing.assert_array_equal(valid.images, digits[1].images)
    assert train.steps_per_epoch == 4


@pytest.mark.parametrize("classes", [(1,), (1, 1), (1, 10), (-1, 1), ("1", "x")])
def test_load_refuses_classes(classes):
    for load in (data.load, data.load_test):
        with pytest.raises(InputError, match="^classes=.*: must be two or more .* 0 to 9$"):
            load("digits", classes=classes)


def image(value: float = 0.5, dtype: type = np.float32) -> np.ndarray:
    """Four images of which one pixel is special."""
    images = np.zeros((4, 2, 2, 1), dtype)
    images[1, 1, 0, 0] = value
    return images


FOUR = np.arange(4)


@pytest.mark.parametrize(
    "images, labels, words",
    [
        (image(np.nan), FOUR, "images hold values that are not finite"),
        (image(np.inf), FOUR, "images hold values that are not finite"),
        (image(1.5), FOUR, "images reach from 0.0 to 1.5"),
        (image(-0.5), FOUR, "images reach from -0.5 to 0.0"),
        (image(1, np.int32), FOUR, "images of dtype int32"),
        (image(1, bool), FOUR, "images of dtype bool"),
        (image()[..., 0], FOUR, r"images of shape \(4, 2, 2\)"),
        (image()[:0], FOUR[:0], r"images of shape \(0, 2, 2, 1\)"),
        (image(), FOUR[:3], r"labels of shape \(3,\)"),
        (image(), FOUR[:, None], r"labels of shape \(4, 1\)"),
        (image(), FOUR.astype(np.float32), "dtype float32: must be 4 integers"),
        (image(), FOUR + 1, r"labels reach from 1 to 4: must be in \[0, 4\)"),
        (image(), FOUR - 1, "labels reach from -1 to 2"),
    ],
)
def test_split_refuses(images, labels, words):
    with pytest.raises(InputError, match=words):
        data.Split(images, labels, num_classes=4, batch_size=2)


def test_split_refuses_empty_batches():
    with pytest.raises(InputError, match="batch_size=0: must be at least 1"):
        data.Split(image(), FOUR, num_classes=4, batch_size=0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(dataset="svhn"), "dataset=svhn: must be one of digits, mnist"),
        (dict(batch_size=0), "batch_size=0: must be at least 1"),
        (dict(batch_size=1199), "batch_size=1199: must be at most the 1198 images"),
        (dict(train_size=0), "train_size=0: must be at least 1"),
        (dict(train_size=1199), "train_size=1199: must be at most the 1198 images left for train"),
        (dict(train_size=50), "batch_size=60: must be at most the 50 images left for training"),
        (dict(test_size=-1), "test_size=-1: must be at least 1"),
        (dict(validation_size=0), "validation_size=0: must be at least 1"),
        (dict(validation_size=-2), "validation_size=-2"),
        (dict(validation_size=400, classes=(1, 7)), "validation_size=400: must be between 1 and 2"),
        (dict(validation_size=1437), "validation_size=1437: must be between 1 and 1436"),
        (
            dict(dataset="mnist", data_dir="no/such/folder"),
            "data_dir=no/such/folder: no such folder",
        ),
    ],
)
def test_load_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        data.load(**arguments)


def test_load_names_a_data_set_that_cannot_be_had(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(InputError, match=f"dataset=mnist: not prepared in {tmp_path}"):
        data.load("mnist", data_dir=str(tmp_path))


def test_images_of_tfds(monkeypatch, tmp_path):
    """Each split is its own; here of made-up images, in the place of a prepared copy."""
    draw = np.random.default_rng(0)
    made = {
        part: (draw.integers(0, 256, [size, 28, 28, 1], np.uint8), draw.integers(0, 10, size))
        for part, size in (("train", 30), ("test", 20))
    }

    def as_dataset(self, *, split, as_supervised, batch_size):
        assert as_supervised
        return tf.data.Dataset.from_tensor_slices(made[split]).batch(batch_size)

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda *_, **__: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "as_dataset", as_dataset)
    train, valid, test = data.load(
        "mnist", validation_size=10, batch_size=4, data_dir=str(tmp_path)
    )
    alone = data.load_test("mnist", data_dir=str(tmp_path))
    assert (train.size, valid.size, test.size) == (20, 10, 20)
    assert train.num_classes == alone.num_classes == 10 and train.images.dtype == np.uint8
    for split in (test, alone):
        np.testing.assert_array_equal(split.images, made["test"][0])
        np.testing.assert_array_equal(split.labels, made["test"][1])
    label_of = {x.tobytes(): y for x, y in zip(*made["train"], strict=True)}
    for split in (train, valid):
        for x, y in zip(split.images, split.labels, strict=True):
            assert label_of.pop(x.tobytes()) == y


@pytest.fixture
def prepared() -> None:
    folder = os.environ.get("RST_DATA_DIR", "")
    if not os.path.isdir(os.path.join(folder, "mnist")) or not folder:
        pytest.skip("RST_DATA_DIR names no folder with a prepared mnist")


def test_mnist(prepared):
    """The real test images, where a prepared copy is at hand."""
    test = data.load_test("mnist")
    assert test.images.shape == (10_000, 28, 28, 1) and test.images.dtype == np.uint8
    assert np.bincount(test.labels).tolist()[:3] == [980, 1135, 1032]
    x, y = next(iter(test))
    assert x.shape == (60, 28, 28, 1) and x.dtype == tf.float32 and y.dtype == tf.int64
    assert tf.reduce_min(x) >= 0 and 0.9 < tf.reduce_max(x) <= 1


@pytest.mark.slow
def test_the_whole_of_mnist(prepared):
    train, valid, test = data.load("mnist", validation_size=10_000)
    assert (train.size, valid.size, test.size) == (50_000, 10_000, 10_000)
    assert train.images.shape[1:] == (28, 28, 1) and train.images.dtype == np.uint8
    x, y = next(iter(train))
    alone = data.load_test("mnist")
    np.testing.assert_array_equal(alone.images, test.images)
    np.testing.assert_array_equal(alone.labels, test.labels)
    assert x.shape == (60, 28, 28, 1) and x.dtype == tf.float32 and y.dtype == tf.int64
    assert tf.reduce_min(x) >= 0 and 0.9 < tf.reduce_max(x) <= 1
