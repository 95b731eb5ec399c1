"""Compares exported files with the Keras model."""

import dataclasses
import types
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import OpResolverType

from robust_sparse_tf import files
from robust_sparse_tf.errors import RunWarning, TrainingError, reason
from robust_sparse_tf.evaluation.inputs import unwrapped
from robust_sparse_tf.export import loading
from robust_sparse_tf.export.examples import scaled
from robust_sparse_tf.export.forms import form_of
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.quantization import quantization_of
from robust_sparse_tf.export.reading import tflite_content
from robust_sparse_tf.export.tflite_runner import tflite_logits
from robust_sparse_tf.options import checked_path
from robust_sparse_tf.tensors import as_array, check_shape, check_types
from robust_sparse_tf.values import check_images

_BATCH = 500
RESOLVERS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
"""The operations of TFLite with XNNPACK, and without."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far a file may be from its model.

    Attributes:
        difference: maximum difference of logits, as a fraction of the model's largest logit. A
            wrong kernel or encoding gives about 1 and more, or NaN; rounding gives less.
        agreement: minimum fraction of equal predictions on images of a data set. A broken file
            predicts by chance; rounding changes only images near a decision boundary.
    """

    difference: float
    agreement: float

    def largest_difference(self, expected: np.ndarray) -> float:
        """The maximum difference from the model's logits [n, classes]."""
        return 1e-7 + self.difference * float(np.abs(expected).max())


LIMITS = types.MappingProxyType(
    {
        # Predictions differ only where two logits of the model differ less than this.
        "fp32": Limits(difference=1e-4, agreement=0.99),
        "fp16": Limits(difference=0.02, agreement=0.99),
        "int8": Limits(difference=0.25, agreement=0.95),
        "full_int8": Limits(difference=0.35, agreement=0.95),
        "int4": Limits(difference=0.7, agreement=0.8),
    }
)
"""Limits by quantisation; for other files than TFLite, those of fp32."""


@dataclasses.dataclass(frozen=True)
class Verification:
    """The comparison of a file with its Keras model.

    Attributes:
        images: number of images.
        agreement: fraction of them for which both predict the same class; of a TFLite file, as
            interpreters run it by default, with XNNPACK.
        difference: maximum difference of logits.
        agreement_without_xnnpack: as `agreement`; None for other files than TFLite.
        difference_without_xnnpack: as `difference`; None for other files than TFLite.
    """

    images: int
    agreement: float
    difference: float
    agreement_without_xnnpack: float | None = None
    difference_without_xnnpack: float | None = None

    def __str__(self) -> str:
        """The figures on one line."""
        line = _figures(self.agreement, self.difference)
        if self.agreement_without_xnnpack is not None:
            assert self.difference_without_xnnpack is not None
            figures = _figures(self.agreement_without_xnnpack, self.difference_without_xnnpack)
            line += f", without XNNPACK {figures}"
        return f"{line} on {self.images} images"


def verify(path: str, model: keras.Model, images: Any) -> Verification:
    """Compares a file with the Keras model; one that disagrees is deleted.

    A TFLite file runs with XNNPACK and without. `LIMITS` has what is allowed.

    Args:
        path: the file, of any format that `load` reads.
        model: the Keras model.
        images: numbers [n, ...], such as 1,000 test images or more; uint8 is scaled to [0, 1] for
            a model of real inputs.

    Raises:
        InputError: for a file that cannot be read, or images that do not fit the model.
        TrainingError: with the figures, for a file that disagrees or does not run.
    """
    path, network = checked_path("path", path), plain(unwrapped(model))
    images, form = _images(images, network), form_of(path)
    expected = _logits(network, images)
    limits = LIMITS["fp32"]
    try:
        if form == "tflite":
            content = tflite_content(path)
            outputs = [tflite_logits(content, images, resolver) for resolver in RESOLVERS]
            limits = LIMITS[quantization_of(content)]
        else:
            outputs = [_loaded(path, images)]
    except RuntimeError as error:
        files.remove(path)
        raise TrainingError(f"{path}: is deleted, as it does not run ({reason(error)})") from error
    compared = [_compared(expected, each) for each in outputs]
    found = Verification(len(images), *(figure for pair in compared for figure in pair))
    largest = limits.largest_difference(expected)
    if not all(same >= limits.agreement and by <= largest for same, by in compared):
        files.remove(path)
        raise TrainingError(
            f"{path}: is deleted, as it disagrees with model {network.name}: {found}; must be at "
            f"least {100 * limits.agreement:g} %, and at most {largest:.3g}"
        )
    return found


def agreement(model: keras.Model, path: str, images: np.ndarray) -> float:
    """The fraction of images for which a `.tflite` file predicts the same class as the model.

    Args:
        model: the Keras model.
        path: the `.tflite` file.
        images: of any number type [n, ...]; uint8 is scaled to [0, 1] for a model of real inputs.

    Raises:
        InputError: for a file that cannot be read or is not TFLite, or images that do not fit.
    """
    path, network = checked_path("path", path), plain(unwrapped(model))
    images = _images(images, network)
    content = tflite_content(path)
    return _compared(_logits(network, images), tflite_logits(content, images))[0]


def _images(value: Any, network: keras.Model) -> np.ndarray:
    images = as_array("images", value)
    check_types(images, None)
    check_shape(images, network.input_shape)
    check_images(images, None)
    return scaled(images, network.inputs[0].dtype)


def _logits(network: keras.Model, images: np.ndarray) -> np.ndarray:
    found = network.predict(images, batch_size=_BATCH, verbose=0)
    return np.asarray(found, np.float32)


def _loaded(path: str, images: np.ndarray) -> np.ndarray:
    """Logits of a file that is not TFLite."""
    with warnings.catch_warnings():  # a SavedModel is a program; this one was just written
        warnings.simplefilter("ignore", RunWarning)
        logits = loading.load(path)
    parts = np.split(images.astype(np.float32), range(_BATCH, len(images), _BATCH))
    return np.concatenate([np.asarray(logits(tf.constant(part)), np.float32) for part in parts])


def _compared(expected: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """The fraction of equal predictions, and the maximum difference of logits."""
    same = expected.argmax(1) == found.argmax(1)
    return float(same.mean()), float(np.abs(expected - found).max())


def _figures(same: float, by: float) -> str:
    return f"{100 * same:.1f} % of predictions agree, logits differ by up to {by:.3g}"
