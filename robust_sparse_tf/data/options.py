"""Which images, by name."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from robust_sparse_tf.options import check, option

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100")


def data_dir_option() -> Any:
    """The option of every class that says where data are."""
    return option(
        None,
        "folder of prepared TFDS data",
        kind=str,
        shown="the variable RST_DATA_DIR, else TFDS's own",
        hashed=False,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and how they are cut and batched."""

    dataset: str = option("digits", "data set to train on", choices=NAMES)
    data_dir: str | None = data_dir_option()
    batch_size: int = option(60, "size of a global batch", unit="images", minimum=1)
    validation_size: int | None = option(
        None,
        "images cut from train for validation",
        unit="images",
        minimum=1,
        kind=int,
        shown="a sixth of train",
    )
    validation_split: str = option(
        "seeded",
        "which images of train are for validation: drawn by the seed, or the first ones, which are "
        "the same in all trials",
        choices=("seeded", "first"),
    )
    test_size: int | None = option(
        None,
        "first images of test that training's evaluations see",
        unit="images",
        minimum=1,
        kind=int,
        shown="all",
    )
    classes: Sequence[str | int] = option(
        [],
        "only images of these classes, separated by commas, whose labels become 0, 1 and so on in "
        "this order",
        shown="all",
    )

    def __post_init__(self) -> None:
        check(self)
