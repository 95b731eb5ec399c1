"""Random crops and flips of training images, in the graph."""

import tensorflow as tf

from robust_sparse_tf.data.gather import Gather
from robust_sparse_tf.errors import InputError

PADDING = 4
"""Zeros on each side of an image before it is cropped to its size again, in pixels."""

SMALLEST = 2 * PADDING
"""Minimum height and width of images; a crop of a smaller one could hold only zeros."""

_PLACES = 2 * PADDING + 1
VIEWS = 2 * _PLACES**2
"""Number of views of an image: crops at 9 x 9 places, each of them also mirrored."""


class Augmented:
    """Gathers images like `Gather`, each cropped and flipped.

    (numbers int64 [batch], views int64 [batch]) -> (images, labels), see `crop_flip`.
    """

    def __init__(self, gather: Gather) -> None:
        self._gather = gather

    def __call__(self, drawn: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        numbers, views = drawn
        images, labels = self._gather(numbers)
        return crop_flip(images, views), labels


def draw_views(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Draws a view for each image in an epoch; it depends on (seed, epoch, image) only.

    Args:
        count: number of images.
        seed: seed of all epochs.
        epoch: number of the pass, int64.

    Returns:
        int64 [count], from 0 to VIEWS - 1.
    """
    # Folded, as the order of the images is drawn from the same pair.
    pair = tf.stack([tf.cast(seed, tf.int64), epoch])
    key = tf.random.experimental.stateless_fold_in(pair, 1)
    return tf.random.stateless_uniform([count], key, 0, VIEWS, tf.int64)


def crop_flip(images: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
    """Pads images with zeros, crops them to their size, and mirrors every second view.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, 2016), section 4.2. View
    2 * (9 * row + column) + mirrored is the crop whose corner is at (row, column) of the padded
    image; views 80 and 81 are the image itself and its mirror image.

    Args:
        images: float32 [batch, height, width, channels].
        views: int64 [batch], from 0 to VIEWS - 1.

    Returns:
        float32 [batch, height, width, channels].
    """
    height, width = images.shape[1:3]
    mirrored, place = views % 2, views // 2
    rows = (place // _PLACES)[:, None] + tf.range(height, dtype=tf.int64)
    across = tf.range(width, dtype=tf.int64)
    across = tf.where(mirrored[:, None] == 1, across[::-1], across)
    columns = (place % _PLACES)[:, None] + across
    edge = [PADDING, PADDING]
    padded = tf.pad(images, [[0, 0], edge, edge, [0, 0]])
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)


def check_size(height: int, width: int) -> None:
    """Raises InputError for images that are too small to be cropped."""
    if min(height, width) < SMALLEST:
        raise InputError(
            f"augment=crop_flip: must be none for images of {height} x {width} pixels; they must "
            f"have at least {SMALLEST} x {SMALLEST}"
        )
