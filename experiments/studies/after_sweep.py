"""Commands of studies on the networks of a sweep, whose results its report shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epy

from experiments import studies
from experiments.reports import sweep_report
from experiments.sweeps import directory, trials
from experiments.sweeps.directory import Cell
from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

    from robust_sparse_tf.attacks import seeds

if TYPE_CHECKING:
    from robust_sparse_tf.attacks import Attack

_BATCH = 100  # images


def cells_of(folder: str, study: str) -> list[Cell]:
    """The finished cells of a study's sweep.

    Raises:
        InputError: if the folder has no sweep of the study, or one without a finished cell.
    """
    contents = directory.read(folder)
    if contents.study != study:
        raise InputError(f"sweep={folder}: is of study={contents.study}; must be of {study}")
    found = directory.finished(folder, contents.cells)
    if not found:
        raise InputError(f"sweep={folder}: has no finished cell yet")
    return found


def drawn_images(test: data.Split, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a number of test images, drawn without replacement.

    Raises:
        InputError: if there are fewer.
    """
    if count > test.size:
        raise InputError(
            f"examples={count}: must be at most {test.size}, the test images there are"
        )
    places = np.sort(np.random.default_rng(seed).choice(test.size, count, replace=False))
    return gathered(test, places)


def gathered(test: data.Split, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of these numbers, float32 in [0, 1], and their labels, int64."""
    images, labels = test.gather(places)
    return images.numpy(), labels.numpy()


def adversarial(
    attack: Attack, model: Any, images: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Adversarial examples, batch by batch: float32, shaped as the images.

    Args:
        attack: an attack.
        model: callable from images to logits.
        images: float32 [n, height, width, channels] in [0, 1].
        labels: integers [n].
        seed: seed of everything random.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def run(x: tf.Tensor, y: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        return attack(model, x, y, seed=seeds.seed_of(seed, first))

    made = []
    for first in range(0, len(images), _BATCH):
        part = slice(first, first + _BATCH)
        x, y = tf.constant(images[part]), tf.constant(labels[part])
        made.append(run(x, y, tf.constant(first, tf.int64)).numpy())
    return np.concatenate(made)


def predicted(model: Any, images: np.ndarray) -> np.ndarray:
    """The class of each image: int64 [n]."""
    parts = [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
    return np.concatenate([np.argmax(model(part, training=False), axis=1) for part in parts])


def add(folder: str, name: str, found: Mapping[str, Any]) -> str:
    """Stores results beside a sweep's cells, and writes its report again; returns its text."""
    trials.write_drawn(folder, trials.drawn(folder) | {name: found})
    return sweep_report.write(folder, studies.BY_NAME)
