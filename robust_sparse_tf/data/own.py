"""The user's own images: arrays in a NumPy file, or a folder of images per class."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

Arrays = tuple[np.ndarray, np.ndarray]
Read = tuple[Callable[[str], Arrays], int]
"""Reads the images and labels of "train" or "test", and the number of classes."""

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_HELD_OUT = 6  # without a folder of test images, every sixth image is for test


def npz(path: str, scale: float) -> Read:
    """Arrays x_train, y_train, x_test and y_test of an `.npz` file.

    Args:
        path: path of the file.
        scale: number by which images are divided unless they are uint8.

    Raises:
        InputError: for a file that is missing or damaged, or lacks an array; for images of other
            shapes than [n, height, width(, channels)], or with values outside [0, 1].
    """
    name = f"dataset=npz:{path}"
    try:
        found = files.read_npz(path)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except (OSError, files.DamagedError) as error:
        raise InputError(f"{name}: cannot be read as an .npz file ({error})") from error
    if missing := [each for each in _NAMES if each not in found]:
        raise InputError(f"{name}: holds no {', '.join(missing)}; must hold {', '.join(_NAMES)}")
    parts = {
        part: (
            _images(f"{name}: x_{part}", found[f"x_{part}"], scale),
            _labels(f"{name}: y_{part}", found[f"y_{part}"]),
        )
        for part in ("train", "test")
    }
    return parts.__getitem__, 1 + max(int(labels.max(initial=0)) for _, labels in parts.values())


def _images(name: str, images: np.ndarray, scale: float) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.size:
        raise InputError(f"{name} of shape {images.shape}: must be [n, height, width, channels]")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "fiu":
        raise InputError(f"{name} of {images.dtype}: must be numbers")
    scaled = (images / scale).astype(np.float32)
    if not (scaled.min() >= 0 and scaled.max() <= 1):  # `not` refuses NaN, too
        raise InputError(
            f"{name} of values {images.min():g} to {images.max():g}: must be uint8, or from 0 to 1 "
            f"when divided by scale={scale:g}; for values to 255 give scale=255"
        )
    return scaled


def _labels(name: str, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(f"{name}, {labels.dtype} {labels.shape}: must be whole numbers [n]")
    return labels


def folder(path: str, image_size: int | None) -> Read:
    """Images in one folder per class; classes are numbered in the order of their names.

    The folders of the classes may lie in folders `train` and `test`; otherwise every sixth image of
    a class is for test.

    Args:
        path: path of the folder.
        image_size: height and width to which images are resized; None if all have one size.

    Raises:
        InputError: for a missing folder, fewer than two classes, a file that is not an image, or
            images of several sizes if `image_size` is None.
    """
    name = f"dataset=folder:{path}"
    if not os.path.isdir(path):
        raise InputError(f"{name}: no such folder")
    is_cut = all(os.path.isdir(os.path.join(path, part)) for part in ("train", "test"))
    classes = _folders(os.path.join(path, "train") if is_cut else path)
    if len(classes) < 2:
        raise InputError(f"{name}: has {len(classes)} folders of classes; must have two or more")
    if is_cut and (other := _folders(os.path.join(path, "test"))) != classes:
        raise InputError(f"{name}: train has the classes {classes}, and test {other}")

    def read(part: str) -> Arrays:
        images, labels = [], []
        for label, each in enumerate(classes):
            place = os.path.join(path, part if is_cut else "", each)
            found = _files(place)
            if not is_cut:
                held_out = found[_HELD_OUT - 1 :: _HELD_OUT]
                found = held_out if part == "test" else sorted({*found} - {*held_out})
            images += [_decoded(name, file, image_size) for file in found]
            labels += [label] * len(found)
        if not images:
            raise InputError(f"{name}: has no images for {part}")
        shapes = sorted({image.shape for image in images})
        if len(shapes) > 1:
            raise InputError(
                f"{name}: has images of shapes {shapes[0]} and {shapes[-1]}; give image_size"
            )
        return np.stack(images), np.array(labels)

    return read, len(classes)


def _folders(path: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())


def _files(path: str) -> list[str]:
    entries = [entry for entry in os.scandir(path) if entry.name.lower().endswith(_ENDINGS)]
    return sorted(entry.path for entry in entries)


def _decoded(name: str, path: str, image_size: int | None) -> np.ndarray:
    """Reads an image as uint8 [height, width, 3]."""
    try:
        with open(path, "rb") as file:
            image = tf.io.decode_image(file.read(), channels=3, expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"{name}: {path} is not an image that can be read") from error
    return resized(image, image_size).numpy()


def resized(image: tf.Tensor, size: int | None) -> tf.Tensor:
    """Resizes an image, uint8 [height, width, channels], to [size, size, channels]."""
    if size is None:
        return image
    found = tf.image.resize(tf.cast(image, tf.float32), (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(found), 0, 255), tf.uint8)
