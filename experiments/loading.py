"""Models to evaluate, from a run's directory, a SavedModel, a `.keras` or a `.tflite` file."""

import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from robust_sparse_tf import export
from robust_sparse_tf.errors import InputError

Logits = Callable[[tf.Tensor], tf.Tensor]


def load(path: str) -> Logits:
    """The model of a path, as a callable from images to logits.

    Raises:
        InputError: for a path that holds no model that can be read.
    """
    if not os.path.exists(path):
        raise InputError(f"model={path}: does not exist")
    try:
        if path.endswith(".tflite"):
            return _tflite(path)
        if os.path.isdir(path):
            return _saved_model(path)
        network = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"model={path}: cannot be read ({reason})") from error
    return lambda x: network(x, training=False)


def flags_of(path: str) -> dict[str, Any]:
    """The flags of a run's directory; none for other paths."""
    config = os.path.join(path, "config.json")
    if not os.path.exists(config):
        return {}
    with open(config) as file:
        return json.load(file)["flags"]


def _saved_model(path: str) -> Logits:
    inner = os.path.join(path, "saved_model")
    folder = inner if os.path.isdir(inner) else path
    if not os.path.exists(os.path.join(folder, "saved_model.pb")):
        raise InputError(
            f"model={path}: must be the directory of a finished run, a SavedModel, a .keras or a "
            ".tflite file"
        )
    loaded = tf.saved_model.load(folder)
    serve = loaded.signatures["serving_default"]
    (entry,) = serve.structured_input_signature[1]
    (exit_,) = serve.structured_outputs

    def logits(x: tf.Tensor) -> tf.Tensor:
        return serve(**{entry: x})[exit_]

    logits.loaded = loaded  # whose variables live as long as it does
    return logits


def _tflite(path: str) -> Logits:
    with open(path, "rb") as file:
        content = file.read()

    outputs = export.tflite_function(content)

    def logits(x: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(outputs, [x], tf.float32)
        found.set_shape([x.shape[0], classes])
        return found

    classes = int(Interpreter(model_content=content).get_output_details()[0]["shape"][-1])
    return logits
