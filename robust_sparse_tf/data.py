"""Named image data sets, held in memory and served as tf.data."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option

TFDS_NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")
NAMES = ("digits", *TFDS_NAMES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and how they are cut and batched."""

    dataset: str = option("digits", "data set to train on", choices=NAMES)
    data_dir: str = option(
        "",
        "folder of prepared TFDS data (default: the variable RST_DATA_DIR, else TFDS's own)",
        hashed=False,
    )
    batch_size: int = option(60, "size of a global batch", unit="images", minimum=1)
    validation_size: int = option(
        -1, "images cut from train for validation (-1: a sixth of train)", minimum=-1
    )
    test_size: int = option(
        0, "first images of test that training's evaluations see (0: all)", unit="images", minimum=0
    )
    classes: list = option(
        [],
        "only images of these classes, separated by commas, whose labels become 0, 1 and so on in "
        "this order (default: all)",
    )

    def __post_init__(self) -> None:
        check(self)


class Split(tf.data.Dataset):
    """A labelled set of images in memory that is also a `tf.data.Dataset` of batches.

    As a data set it yields `(images, labels)`: float32 [batch, height, width, channels] in [0, 1]
    and int64 [batch]. Each pass over a shuffled split has another order, drawn from `seed`; the
    last batch of a pass may be smaller. `AdversarialModel.fit` recognises a split and gathers its
    batches inside the training graph instead, which is faster.

    Args:
        images: uint8 [n, height, width, channels], or floats in [0, 1].
        labels: integers [n] in [0, num_classes).
        num_classes: number of classes.
        batch_size: images a batch.
        shuffle: whether the order is drawn anew for each pass.
        seed: seed of the order.

    Raises:
        InputError: for empty, mismatched, non-finite or out-of-range images or labels, and a
            batch size below 1.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        num_classes: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        _check_images(images)
        _check_labels(labels, len(images), num_classes)
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size}: must be at least 1")
        if images.dtype != np.uint8:
            images = images.astype(np.float32)
        self.images = images
        self.labels = labels.astype(np.int64)
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.seed = seed
        order = tf.data.Dataset.range(len(images))
        if shuffle:
            order = order.shuffle(len(images), seed=seed, reshuffle_each_iteration=True)
        self.gather = Gather(self.images, self.labels)
        self._batches = _without_autotune(order.batch(batch_size).map(self.gather).prefetch(2))
        super().__init__(self._batches._variant_tensor)

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._batches]

    @property
    def element_spec(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        return self._batches.element_spec

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.images)

    def first(self, count: int) -> "Split":
        """The first images in order, at most as many as there are."""
        return Split(
            self.images[:count],
            self.labels[:count],
            num_classes=self.num_classes,
            batch_size=min(count, self.batch_size),
        )

    def index_batches(self, first_step: int = 0) -> tf.data.Dataset:
        """Endless batches of image numbers, int64 [batch_size], from a given step on.

        The batch of step t is a function of (seed, t) alone, so that a resumed run sees what an
        uninterrupted one does. Each image comes once in each pass, and every batch is full: the
        one at the border of two passes takes from both.
        """
        first_epoch, offset = divmod(first_step * self.batch_size, self.size)

        def order(epoch: tf.Tensor) -> tf.Tensor:
            seed = tf.stack([tf.cast(self.seed, tf.int64), epoch])
            numbers = tf.range(self.size, dtype=tf.int64)
            shuffled = tf.random.experimental.stateless_shuffle(numbers, seed)
            return shuffled[tf.where(epoch == first_epoch, offset, 0) :]

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        return _without_autotune(epochs.map(order).rebatch(self.batch_size, drop_remainder=True))


def _without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    # There is nothing to tune, and the end of an iterator waits for the tuner's thread, which on
    # one core sleeps through the call that is to end it: for seconds, each time `fit` returns.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


class Gather:
    """Looks images up by number, inside any graph: numbers [batch] -> (images, labels).

    Made inside a distribution strategy's scope, each replica holds its own copy.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images = tf.Variable(images, trainable=False)
        self._labels = tf.Variable(labels, trainable=False)
        self._scale = 255.0 if images.dtype == np.uint8 else 1.0

    def __call__(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(tf.gather(self._images, numbers), tf.float32)
        if self._scale != 1.0:
            images /= self._scale
        return images, tf.gather(self._labels, numbers)


def load(
    dataset: str = "digits",
    *,
    batch_size: int = 60,
    data_dir: str = "",
    validation_size: int = -1,
    test_size: int = 0,
    classes: Sequence[int] = (),
    seed: int = 0,
) -> tuple[Split, Split, Split]:
    """Loads a named data set as (train, validation, test).

    The validation split is drawn from train by `seed`. "digits" (8x8, 1,797 images, of which the
    last 360 are the test set) comes with scikit-learn; the others load through TFDS, which
    downloads only what it does not find prepared in `data_dir`. With `classes` only their images
    are there, and the label of an image is its class's place among them. With `test_size` the test
    split is its first images.

    Raises:
        InputError: for an unknown name, a folder that is not there, a data set that is neither
            prepared nor to be downloaded, classes that it does not have, or a validation split as
            large as the data.
    """
    options = DataOptions(
        dataset=dataset,
        data_dir=data_dir,
        batch_size=batch_size,
        validation_size=validation_size,
        test_size=test_size,
        classes=list(classes),
    )
    ((images, labels), test), num_classes = _read(options, "train", "test")
    held_out = len(images) // 6 if validation_size < 0 else validation_size
    if not 0 < held_out < len(images):
        raise InputError(
            f"validation_size={held_out}: must be between 1 and {len(images) - 1}, "
            f"as {dataset} has {len(images)} training images"
        )
    if batch_size > len(images) - held_out:
        raise InputError(
            f"batch_size={batch_size}: must be at most the {len(images) - held_out} images "
            "left for training"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    valid, train = np.sort(order[:held_out]), np.sort(order[held_out:])
    cut = functools.partial(Split, num_classes=num_classes, batch_size=batch_size, seed=seed)
    whole = cut(*test)
    return (
        cut(images[train], labels[train], shuffle=True),
        cut(images[valid], labels[valid]),
        whole.first(test_size) if test_size else whole,
    )


def load_test(dataset: str = "digits", *, data_dir: str = "", classes: Sequence[int] = ()) -> Split:
    """The test split of `load` alone, without reading the training images.

    Raises:
        InputError: as `load`.
    """
    options = DataOptions(dataset=dataset, data_dir=data_dir, classes=list(classes))
    (test,), num_classes = _read(options, "test")
    return Split(*test, num_classes=num_classes, batch_size=options.batch_size)


_Arrays = tuple[np.ndarray, np.ndarray]


def _read(options: DataOptions, *parts: str) -> tuple[list[_Arrays], int]:
    """Images and labels of some parts of a data set ("train", "test"), and how many classes."""
    part_of, num_classes = _digits() if options.dataset == "digits" else _tfds(options)
    if not options.classes:
        return [part_of(part) for part in parts], num_classes
    chosen = _chosen(options.classes, num_classes)
    return [_only(chosen, *part_of(part)) for part in parts], len(chosen)


def _chosen(classes: list, num_classes: int) -> list[int]:
    """Classes as numbers, which as flags are words."""
    found = [int(word) if str(word).isdecimal() else -1 for word in classes]
    known = set(range(num_classes)) & set(found)
    if len(found) < 2 or len(known) < len(found):
        raise InputError(
            f"classes={','.join(map(str, classes))}: must be two or more different whole numbers "
            f"from 0 to {num_classes - 1}"
        )
    return found


def _only(
    classes: list[int], images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The images of some classes, and the places of their classes as labels."""
    places, numbers = np.nonzero(labels == np.asarray(classes)[:, None])
    order = np.argsort(numbers)
    return images[numbers[order]], places[order]


def _digits() -> tuple[Callable[[str], _Arrays], int]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    parts = {"train": slice(None, -360), "test": slice(-360, None)}
    return lambda part: (images[parts[part]], labels[parts[part]]), 10


def _tfds(options: DataOptions) -> tuple[Callable[[str], _Arrays], int]:
    import tensorflow_datasets as tfds

    data_dir = options.data_dir or os.environ.get("RST_DATA_DIR") or None
    if data_dir and not os.path.isdir(data_dir):
        raise InputError(f"data_dir={data_dir}: no such folder")
    builder = tfds.builder(options.dataset, data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises many kinds when it cannot download
        raise InputError(
            f"dataset={options.dataset}: not prepared in {builder.data_dir}, and the download "
            f"failed ({type(error).__name__}); give the folder of a prepared copy as data_dir"
        ) from error

    def arrays(part: str) -> _Arrays:
        dataset = builder.as_dataset(split=part, as_supervised=True, batch_size=1000)
        batches = list(dataset.as_numpy_iterator())
        images, labels = (np.concatenate(column) for column in zip(*batches, strict=True))
        return images, labels

    return arrays, builder.info.features["label"].num_classes


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 4 or not len(images):
        raise InputError(
            f"images of shape {images.shape}: must be [n, height, width, channels] with n > 0"
        )
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"images of dtype {images.dtype}: must be uint8 or floats in [0, 1]")
    if not np.isfinite(images).all():
        raise InputError("images hold values that are not finite: must be in [0, 1]")
    if images.min() < 0 or images.max() > 1:
        raise InputError(f"images reach from {images.min()} to {images.max()}: must be in [0, 1]")


def _check_labels(labels: np.ndarray, size: int, num_classes: int) -> None:
    if labels.shape != (size,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels of shape {labels.shape} and dtype {labels.dtype}: must be {size} integers"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise InputError(
            f"labels reach from {labels.min()} to {labels.max()}: must be in [0, {num_classes})"
        )
