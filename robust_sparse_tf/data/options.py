"""Options of data sets."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from robust_sparse_tf.options import check, option

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100")

AUGMENTATIONS = ("none", "crop_flip")

FORMS = {"npz:FILE": "npz:.+", "folder:FOLDER": "folder:.+", "tfds:NAME": "tfds:.+"}


def data_dir_option() -> Any:
    """The option of where data are, for several classes."""
    return option(
        None,
        "folder of prepared TFDS data",
        kind=str,
        shown="the variable RST_DATA_DIR, else TFDS's own",
        hashed=False,
    )


def image_size_option() -> Any:
    """The option of the size of images, for several classes."""
    return option(
        None,
        "height and width to which images of folder: and tfds: are resized",
        unit="pixels",
        minimum=1,
        kind=int,
        shown="as they are",
    )


def scale_option() -> Any:
    """The option of the range of pixels, for several classes."""
    return option(1.0, "number by which images of npz: are divided, unless they are uint8", above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and how they are split and batched."""

    dataset: str = option(
        "digits",
        "data set to train on; or arrays x_train, y_train, x_test and y_test of an .npz file, a "
        "folder of images by class, any data set of TFDS",
        choices=NAMES,
        forms=FORMS,
    )
    image_size: int | None = image_size_option()
    scale: float = scale_option()
    data_dir: str | None = data_dir_option()
    batch_size: int = option(60, "global batch size", unit="images", minimum=1)
    validation_size: int | None = option(
        None,
        "number of training images kept for validation",
        unit="images",
        minimum=1,
        kind=int,
        shown="a sixth of the training images",
    )
    validation_split: str = option(
        "seeded",
        "which training images are for validation: drawn by the seed, or the first ones, which are "
        "the same in all trials",
        choices=("seeded", "first"),
    )
    train_size: int | None = option(
        None,
        "train on the first N of the training images that are not kept for validation",
        unit="images",
        minimum=1,
        kind=int,
        shown="all",
    )
    test_size: int | None = option(
        None,
        "evaluate on the first N test images only, during training",
        unit="images",
        minimum=1,
        kind=int,
        shown="all",
    )
    classes: Sequence[str | int] = option(
        [],
        "keep only images of these classes, separated by commas; their labels become 0, 1 and so "
        "on, in this order",
        shown="all",
    )

    augment: str = option(
        "none",
        "augmentation of training images; crop_flip: pad with 4 zeros, crop at a random place, and "
        "mirror a random half of them",
        choices=AUGMENTATIONS,
    )

    def __post_init__(self) -> None:
        check(self)
