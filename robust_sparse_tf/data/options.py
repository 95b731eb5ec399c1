"""Which images, by name."""

import dataclasses
from collections.abc import Sequence

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
    classes: Sequence[str | int] = option(
        [],
        "only images of these classes, separated by commas, whose labels become 0, 1 and so on in "
        "this order (default: all)",
    )

    def __post_init__(self) -> None:
        check(self)
