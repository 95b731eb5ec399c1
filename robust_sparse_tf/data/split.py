"""Labelled images in memory, served as tf.data."""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.data import augmentation
from robust_sparse_tf.data.augmentation import Augmented
from robust_sparse_tf.data.gather import Gather
from robust_sparse_tf.data.options import AUGMENTATIONS
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked
from robust_sparse_tf.tensors import as_array


class Split(tf.data.Dataset):
    """Labelled images in memory; also a `tf.data.Dataset` of batches.

    As a data set it yields `(images, labels)`: float32 [batch, height, width, channels] in [0, 1]
    and int64 [batch]. A shuffled split has a new order in each pass, drawn from `seed`; the last
    batch of a pass may be smaller. `AdversarialModel.fit` recognises a split and gathers its
    batches inside the training graph, which is faster.

    Args:
        images: uint8 [n, height, width, channels], or floats in [0, 1].
        labels: integers [n] in [0, num_classes).
        num_classes: number of classes.
        batch_size: images per batch.
        shuffle: whether the order is drawn again for each pass.
        seed: seed of the order and of the augmentation.
        augment: augmentation of training images: "none", or "crop_flip" for random crops after
            padding with 4 zeros, mirrored at random, see `augmentation.crop_flip`. It changes
            only what `AdversarialModel.fit` gathers. Each image's crop follows from (seed, epoch,
            image), whatever the devices, and after a restart.

    Raises:
        InputError: for empty, mismatched, non-finite or out-of-range images or labels, a batch
            size below 1, or images too small to be cropped.
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
        augment: str = "none",
    ) -> None:
        num_classes = checked("num_classes", num_classes, int, minimum=1)
        batch_size = checked("batch_size", batch_size, int, minimum=1)
        shuffle, seed = checked("shuffle", shuffle, bool), checked("seed", seed, int)
        augment = checked("augment", augment, str, choices=AUGMENTATIONS)
        images, labels = as_array("images", images), as_array("labels", labels)
        _check_images(images)
        _check_labels(labels, len(images), num_classes)
        if images.dtype != np.uint8:
            images = images.astype(np.float32)
        self.images = images
        self.labels = labels.astype(np.int64)
        self.num_classes = num_classes
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        order = tf.data.Dataset.range(len(images))
        if shuffle:
            order = order.shuffle(len(images), seed=seed, reshuffle_each_iteration=True)
        self.gather = Gather(self.images, self.labels)
        self.training_gather: Gather | Augmented = self.gather
        if augment == "crop_flip":
            augmentation.check_size(*images.shape[1:3])
            self.training_gather = Augmented(self.gather)
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

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in which `AdversarialModel.fit` sees each image."""
        return -(-self.size // self.batch_size)

    def first(self, count: int) -> "Split":
        """Returns the first images in order, at most as many as there are.

        Raises:
            InputError: for a count below 1.
        """
        count = checked("count", count, int, minimum=1)
        return Split(
            self.images[:count],
            self.labels[:count],
            num_classes=self.num_classes,
            batch_size=min(count, self.batch_size),
        )

    def index_batches(self, first_step: int = 0) -> tf.data.Dataset:
        """Endless batches of image numbers, int64 [batch_size], from a given step.

        The batch of step t depends only on (seed, t): a resumed run sees the same batches as an
        uninterrupted one. Each image appears once per pass. Every batch is full; a batch at the end
        of a pass continues with the next pass. With augmentation, a batch is a pair of the numbers
        and the images' views, see `augmentation.draw_views`.
        """
        first_step = checked("first_step", first_step, int, minimum=0)
        first_epoch, offset = divmod(first_step * self.batch_size, self.size)

        def order(epoch: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
            seed = tf.stack([tf.cast(self.seed, tf.int64), epoch])
            numbers = tf.range(self.size, dtype=tf.int64)
            shuffled = tf.random.experimental.stateless_shuffle(numbers, seed)
            chosen = shuffled[tf.where(epoch == first_epoch, offset, 0) :]
            if self.augment == "none":
                return chosen
            return chosen, tf.gather(augmentation.draw_views(self.size, self.seed, epoch), chosen)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        return _without_autotune(epochs.map(order).rebatch(self.batch_size, drop_remainder=True))


def _without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    # Autotuning is off: there is nothing to tune, and on one core an iterator would wait seconds
    # for the tuner's thread each time `fit` returns.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


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
