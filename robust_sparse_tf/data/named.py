"""Data sets by name, split into train, validation and test."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from robust_sparse_tf.data import own
from robust_sparse_tf.data.options import NAMES, DataOptions
from robust_sparse_tf.data.split import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked, is_count


def load(
    dataset: str = "digits",
    *,
    image_size: int | None = None,
    scale: float = 1.0,
    batch_size: int = 60,
    data_dir: str | None = None,
    validation_size: int | None = None,
    validation_split: str = "seeded",
    train_size: int | None = None,
    test_size: int | None = None,
    classes: Sequence[int | str] = (),
    augment: str = "none",
    seed: int = 0,
) -> tuple[Split, Split, Split]:
    """Loads a named data set as (train, validation, test).

    The validation images are drawn from the training images by `seed`. With
    `validation_split="first"` they are the first ones, in reading order, as in the program of "The
    Search for Sparse, Robust Neural Networks" (Cosentino et al., 2019, section 4.3,
    https://arxiv.org/abs/1912.02386), which takes the first 10,000. "digits" (8x8, 1,797 images,
    the last 360 for test) comes with scikit-learn. The other names load through TFDS, which
    downloads only what is not prepared in `data_dir`; "tfds:NAME" is any data set of TFDS with
    images in [0, 255], labels and a test split. "npz:FILE" are arrays, divided by `scale` unless
    they are uint8. "folder:FOLDER" are images by class (see `data.own`). Images of `tfds:` and
    `folder:` are resized to `image_size`. `classes` keeps only the images of these classes; labels
    are then positions in `classes`. `train_size` keeps only the first training images that are not
    for validation, and `test_size` only the first test images. `augment` is that of the training
    images, see `Split`.

    Raises:
        InputError: for an unknown name, a missing folder, a data set that is neither prepared nor
            can be downloaded, classes that it does not have, a validation split as large as the
            data, or more training images than there are.
    """
    seed = checked("seed", seed, int, minimum=0)
    options = DataOptions(
        dataset=dataset,
        image_size=image_size,
        scale=scale,
        data_dir=data_dir,
        batch_size=batch_size,
        validation_size=validation_size,
        validation_split=validation_split,
        train_size=train_size,
        test_size=test_size,
        classes=classes,
        augment=augment,
    )
    ((images, labels), test), num_classes = _read(options, "train", "test")
    size, batch_size = options.validation_size, options.batch_size
    held_out = len(images) // 6 if size is None else size
    if not 0 < held_out < len(images):
        raise InputError(
            f"validation_size={held_out}: must be between 1 and {len(images) - 1}, "
            f"as {dataset} has {len(images)} training images"
        )
    left = len(images) - held_out
    if options.train_size and options.train_size > left:
        raise InputError(
            f"train_size={train_size}: must be at most the {left} images left for training"
        )
    trained = options.train_size or left
    if batch_size > trained:
        raise InputError(
            f"batch_size={batch_size}: must be at most the {trained} images left for training"
        )
    if options.validation_split == "first":
        order = np.arange(len(images))
    else:
        order = np.random.default_rng(seed).permutation(len(images))
    valid, train = np.sort(order[:held_out]), np.sort(order[held_out:])[:trained]
    cut = functools.partial(Split, num_classes=num_classes, batch_size=batch_size, seed=seed)
    whole = cut(*test)
    return (
        cut(images[train], labels[train], shuffle=True, augment=options.augment),
        cut(images[valid], labels[valid]),
        whole.first(options.test_size) if options.test_size else whole,
    )


def load_test(
    dataset: str = "digits",
    *,
    image_size: int | None = None,
    scale: float = 1.0,
    data_dir: str | None = None,
    classes: Sequence[int | str] = (),
) -> Split:
    """Loads only the test split of `load`, without reading the training images.

    Raises:
        InputError: see `load`.
    """
    options = DataOptions(
        dataset=dataset, image_size=image_size, scale=scale, data_dir=data_dir, classes=classes
    )
    (test,), num_classes = _read(options, "test")
    return Split(*test, num_classes=num_classes, batch_size=options.batch_size)


def _read(options: DataOptions, *parts: str) -> tuple[list[own.Arrays], int]:
    """Images and labels of parts of a data set ("train", "test"), and the number of classes."""
    part_of, num_classes = _reader(options)
    if not options.classes:
        return [part_of(part) for part in parts], num_classes
    chosen = _chosen(options.classes, num_classes)
    return [_only(chosen, *part_of(part)) for part in parts], len(chosen)


def _reader(options: DataOptions) -> own.Read:
    form, _, place = options.dataset.partition(":")
    if form == "digits":
        return _digits()
    if form == "npz":
        return own.npz(place, options.scale)
    if form == "folder":
        return own.folder(place, options.image_size)
    return _tfds(options, place or form)


def _chosen(classes: Sequence[str | int], num_classes: int) -> list[int]:
    """Classes as numbers; flags give them as strings."""
    found = [int(word) if is_count(word) else -1 for word in classes]
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
    """The images of some classes; labels are positions in `classes`."""
    places, numbers = np.nonzero(labels == np.asarray(classes)[:, None])
    order = np.argsort(numbers)
    return images[numbers[order]], places[order]


def _digits() -> own.Read:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    parts = {"train": slice(None, -360), "test": slice(-360, None)}
    return lambda part: (images[parts[part]], labels[parts[part]]), 10


def _tfds(options: DataOptions, name: str) -> own.Read:
    import tensorflow_datasets as tfds

    data_dir = options.data_dir or os.environ.get("RST_DATA_DIR") or None
    if data_dir and not os.path.isdir(data_dir):
        raise InputError(f"data_dir={data_dir}: no such folder")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # several exceptions, as names have a grammar
        raise InputError(f"dataset={options.dataset}: TFDS has no such data set") from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises many exceptions if it cannot download
        raise InputError(
            f"dataset={options.dataset}: not prepared in {builder.data_dir}, and the download "
            f"failed ({type(error).__name__}); give the folder of a prepared copy as data_dir"
        ) from error

    if options.dataset not in NAMES:
        _check_tfds(options, builder.info)

    def arrays(part: str) -> own.Arrays:
        size = options.image_size
        if size is None:
            dataset = builder.as_dataset(split=part, as_supervised=True, batch_size=1000)
        else:
            dataset = builder.as_dataset(split=part, as_supervised=True)
            dataset = dataset.map(lambda x, y: (own.resized(x, size), y)).batch(1000)
        batches = list(dataset.as_numpy_iterator())
        images, labels = (np.concatenate(column) for column in zip(*batches, strict=True))
        return images, labels

    return arrays, builder.info.features["label"].num_classes


def _check_tfds(options: DataOptions, info: Any) -> None:
    """Raises InputError if a data set of TFDS has no labelled images or no test split."""
    features = info.features or {}
    missing = [each for each in ("image", "label") if each not in features]
    missing += [part for part in ("train", "test") if part not in info.splits]
    if missing:
        raise InputError(f"dataset={options.dataset}: has no {', '.join(missing)}")
    if None in features["image"].shape and options.image_size is None:
        raise InputError(f"dataset={options.dataset}: has images of several sizes; give image_size")
