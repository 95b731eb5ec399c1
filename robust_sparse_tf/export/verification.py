"""Compares exported files with the Keras model."""

import numpy as np
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.inputs import unwrapped
from robust_sparse_tf.export.forms import form_of
from robust_sparse_tf.export.tflite_runner import tflite_logits
from robust_sparse_tf.options import checked_path
from robust_sparse_tf.tensors import as_array, check_shape, check_types
from robust_sparse_tf.values import check_images


def agreement(model: keras.Model, path: str, images: np.ndarray) -> float:
    """The fraction of images for which a `.tflite` file predicts the same class as the model.

    Args:
        model: the Keras model.
        path: the `.tflite` file.
        images: of any number type [n, ...]; uint8 is scaled to [0, 1] for a model of real inputs.

    Raises:
        InputError: for a file that cannot be read or is not TFLite, or images that do not fit.
    """
    path, network = checked_path("path", path), unwrapped(model)
    images = as_array("images", images)
    check_types(images, None)
    check_shape(images, network.input_shape)
    check_images(images, None)
    if form_of(path) != "tflite":
        raise InputError(f"path={path}: must be a TFLite file")
    if images.dtype == np.uint8 and network.inputs[0].dtype.is_floating:
        images = images.astype(np.float32) / 255
    with open(path, "rb") as file:
        exported = tflite_logits(file.read(), images)
    expected = network.predict(images, batch_size=500, verbose=0)
    return float(np.mean(exported.argmax(1) == expected.argmax(1)))
