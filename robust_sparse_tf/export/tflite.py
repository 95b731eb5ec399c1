"""SavedModel, and TFLite compared with the Keras model."""

import functools
import os
import shutil
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from robust_sparse_tf import files
from robust_sparse_tf.errors import TrainingError
from robust_sparse_tf.sparsity import strip

_BATCH = 100
_KEPT = 4  # sizes of a batch, each with a copy of the weights


def to_saved_model(model: keras.Model, path: str) -> None:
    """Writes the stripped model as a SavedModel; `path` appears when it is complete."""
    partial = path + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    with files.naming(path), files.discarding(partial):
        strip(model).save(partial, save_format="tf", include_optimizer=False)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)


def to_tflite(model: keras.Model, path: str) -> int:
    """Writes a float32 TFLite model with sparse weights where they save space.

    Weights of a layer that is less than about 30 % zeros are stored dense by the converter. All are
    where its sparse ones are wrong: it takes zeros in blocks, as of pruned units, for blocks of
    four also where a layer's inputs are no multiple of four.

    Returns:
        The size of the file in bytes.

    Raises:
        TrainingError: when its outputs on random images differ from the Keras model's.
    """
    network = strip(model)
    images = np.random.default_rng(0).random((_BATCH, *network.input_shape[1:]), np.float32)
    expected = network(images, training=False).numpy()
    for optimizations in ([tf.lite.Optimize.EXPERIMENTAL_SPARSITY], []):
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        converter.optimizations = optimizations
        content = converter.convert()
        difference = _difference(content, images, expected)
        if difference <= 1e-4 * max(1.0, np.abs(expected).max()):
            break
    else:
        raise TrainingError(f"{path}: TFLite logits differ from Keras' by {difference}")
    with files.complete(path) as file:
        file.write(content)
    return len(content)


def _difference(content: bytes, images: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of any logit, with XNNPACK and without it."""
    return np.max(
        [
            np.abs(tflite_logits(content, images, resolver) - expected).max()
            for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        ]
    )


def tflite_logits(
    content: bytes, images: np.ndarray, resolver: OpResolverType = OpResolverType.AUTO
) -> np.ndarray:
    """Logits [n, classes] of a TFLite model for float32 images [n, height, width, channels]."""
    return tflite_function(content, resolver)(images)


def tflite_function(
    content: bytes, resolver: OpResolverType = OpResolverType.AUTO
) -> Callable[[np.ndarray], np.ndarray]:
    """The same as a function of images, which prepares for each size of a batch once."""
    lock = threading.Lock()  # an interpreter does one batch at a time

    @functools.lru_cache(maxsize=_KEPT)
    def prepared(shape: tuple[int, ...]) -> Interpreter:
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=resolver, num_threads=1
        )
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
        interpreter.allocate_tensors()
        return interpreter

    def outputs(batch: np.ndarray) -> np.ndarray:
        interpreter = prepared(batch.shape)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    def logits(images: np.ndarray) -> np.ndarray:
        with lock:
            parts = range(0, len(images), _BATCH)
            return np.concatenate([outputs(images[first : first + _BATCH]) for first in parts])

    return logits


def agreement(model: keras.Model, path: str, images: np.ndarray) -> float:
    """Fraction of images on which a `.tflite` file predicts the class that the model predicts.

    Args:
        model: the Keras model.
        path: the `.tflite` file.
        images: uint8 or float32 [n, height, width, channels]; uint8 is scaled to [0, 1].
    """
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    with open(path, "rb") as file:
        exported = tflite_logits(file.read(), images)
    expected = strip(model).predict(images, batch_size=500, verbose=0)
    return float(np.mean(exported.argmax(1) == expected.argmax(1)))
